import { OutriderError } from '@outrider/protocol';
import { credentialWords } from './ssh-auth.ts';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** What is known of a failed attempt to connect, besides the error itself. */
export interface ConnectFailure {
  readonly endpoint: Endpoint;
  readonly error: Error & { readonly code?: string; readonly level?: string };
  /** The TCP connection stood. */
  readonly reached: boolean;
  readonly methods: readonly string[];
  /** Name of the credential. */
  readonly credential: string | undefined;
  readonly timeoutMs: number;
}

const WORDS: Readonly<Record<string, readonly [why: string, action: string]>> = {
  ECONNREFUSED: [
    'the connection was refused',
    'Check that sshd runs there and listens on this port, and that no firewall rejects it.',
  ],
  ENOTFOUND: ['the host name does not exist', "Check target.host, and the DNS of the runner's machine."],
  EAI_AGAIN: ['the host name could not be resolved', "Check the DNS of the runner's machine."],
  EHOSTUNREACH: [
    'there is no route to the host',
    'Check network and routing between this runner and the host, or use a runner in its network.',
  ],
  ENETUNREACH: [
    'its network cannot be reached',
    'Check network and routing between this runner and the host, or use a runner in its network.',
  ],
  ETIMEDOUT: [
    'nothing answered',
    'Check that the host is up and that no firewall drops the connection, or use a runner in its network.',
  ],
};

/** An OutriderError for why no connection came about. */
export function connectError(failure: ConnectFailure): OutriderError {
  const { error, endpoint, timeoutMs, reached } = failure;
  if (error.level === 'client-authentication') return authenticationFailed(failure);
  if (error.level === 'client-timeout') {
    return reached
      ? unreachable(
          failure,
          `it accepted the connection but did not answer as an SSH server within ${timeoutMs / 1000} s`,
          'Check that this is the port of an SSH server, and the load of the host.',
        )
      : unreachable(failure, `nothing answered within ${timeoutMs / 1000} s`, WORDS['ETIMEDOUT']?.[1] ?? '');
  }
  const known = WORDS[error.code ?? ''];
  if (known !== undefined) return unreachable(failure, known[0], known[1]);
  return unreachable(
    failure,
    `the SSH handshake failed: ${error.message}`,
    `Check that port ${endpoint.port} is an SSH server's, and its log (sshd's MaxStartups, AllowUsers, algorithms).`,
  );
}

function unreachable({ endpoint, error }: ConnectFailure, why: string, action: string): OutriderError {
  return new OutriderError(
    { code: 'TargetUnreachable', message: `Cannot reach ${endpoint.host}:${endpoint.port}: ${why}.`, action },
    { cause: error },
  );
}

function authenticationFailed({ endpoint, error, methods, credential }: ConnectFailure): OutriderError {
  return new OutriderError(
    {
      code: 'AuthenticationFailed',
      message: `${endpoint.host}:${endpoint.port} refused user ${endpoint.user} with ${methods.join(' and ')} of ${credentialWords(credential)}.`,
      action:
        'Check the user, the credential, and that the server permits this kind of login (authorized_keys, PasswordAuthentication, AllowUsers).',
    },
    { cause: error },
  );
}

/** The line to the target went away while something depended on it. */
export function connectionLost(endpoint: Endpoint, what: string): OutriderError {
  return new OutriderError({
    code: 'ConnectionLost',
    message: `The connection to ${endpoint.host}:${endpoint.port} was lost ${what}.`,
    action: 'Check the network between runner and target, then start the run again if that is safe.',
  });
}
