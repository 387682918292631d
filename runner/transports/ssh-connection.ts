import { OutriderError, toProblem } from '@outrider/protocol';
import ssh2 from 'ssh2';
import type { AnyAuthMethod, Client, ClientChannel, ServerHostKeyAlgorithm } from 'ssh2';
import { hostKeyVerifier, type HostKeyPolicy, type HostKeyVerifier } from './host-key.ts';
import { authMethods, type SshAuth } from './ssh-auth.ts';
import { connectError, connectionLost, type Endpoint } from './ssh-errors.ts';

export interface SshOptions extends Endpoint {
  readonly auth: SshAuth;
  readonly hostKey: HostKeyPolicy;
  /** Until the login stands. Default: 20,000 ms. */
  readonly readyTimeoutMs?: number;
  /** Default: 15,000 ms; after three without an answer the line counts as lost. */
  readonly keepaliveMs?: number;
}

/** An open, authenticated connection. */
export interface SshConnection {
  readonly endpoint: Endpoint;
  readonly open: boolean;
  /** Resolves when the connection has ended, for whatever reason; never rejects. */
  readonly closed: Promise<void>;
  /** Starts a command on a channel of its own. Throws ConnectionLost or `ChannelRefused`. */
  exec(command: string): Promise<ClientChannel>;
  end(): void;
}

/** The server refused another channel on this connection, as sshd does beyond MaxSessions. */
export class ChannelRefused extends Error {
  override readonly name = 'ChannelRefused';
}

const FAMILIES: Readonly<Record<string, readonly ServerHostKeyAlgorithm[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'],
};

/** Rejects with an OutriderError that says why there is no connection. Nothing is sent before the host key is accepted. */
export async function connectSsh(options: SshOptions): Promise<SshConnection> {
  const verifier = hostKeyVerifier(options.hostKey);
  const methods = authMethods(options.user, options.auth);
  const known = verifier.types.flatMap((type) => FAMILIES[type] ?? []);
  const rest = Object.values(FAMILIES)
    .flat()
    .filter((each) => !known.includes(each));
  const attempt = { options, verifier, methods };
  try {
    return await dial(attempt, [...known, ...rest]);
  } catch (error) {
    if (!verifier.typeUnknown || !isMismatch(error)) throw error;
    return await tryOtherKeys(attempt, error);
  }
}

interface Attempt {
  readonly options: SshOptions;
  readonly verifier: HostKeyVerifier;
  readonly methods: readonly AnyAuthMethod[];
}

const isMismatch = (error: unknown): error is OutriderError =>
  error instanceof OutriderError && error.code === 'HostKeyMismatch';

/** A server has one key a type; a fingerprint may be of any of them. */
async function tryOtherKeys(attempt: Attempt, first: OutriderError): Promise<SshConnection> {
  for (const family of Object.values(FAMILIES)) {
    try {
      return await dial(attempt, family);
    } catch (error) {
      const noSuchKey = error instanceof OutriderError && error.code === 'TargetUnreachable';
      if (!isMismatch(error) && !noSuchKey) throw error;
    }
  }
  throw first;
}

function dial(
  { options, verifier, methods }: Attempt,
  keys: readonly ServerHostKeyAlgorithm[],
): Promise<SshConnection> {
  const timeoutMs = options.readyTimeoutMs ?? 20_000;
  const client = new ssh2.Client();
  let reached = false;
  let refusal: OutriderError | undefined;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      client.destroy();
      const names = methods.map((each) => NAMES[each.type] ?? each.type).filter((each) => each !== '');
      const credential = options.auth.name;
      const failure = { endpoint: options, error, reached, methods: names, credential, timeoutMs };
      reject(refusal ?? connectError(failure));
    };
    const early = (): void => fail(new Error('the server closed the connection'));
    client.once('connect', () => {
      reached = true;
      // A message and its go are small packets, each waiting for the answer to the one before.
      client.setNoDelay(true);
    });
    // Stays for the client's life: it may report a second error after the first, and nobody else would take that.
    client.on('error', fail);
    client.once('close', early);
    client.once('ready', () => {
      client.off('close', early);
      resolve(connection(client, options));
    });
    client.connect({
      host: options.host,
      port: options.port,
      username: options.user,
      readyTimeout: timeoutMs,
      keepaliveInterval: options.keepaliveMs ?? 15_000,
      keepaliveCountMax: 3,
      algorithms: { serverHostKey: [...keys] },
      hostVerifier: (key: Buffer, verified: (valid: boolean) => void) => {
        judge(verifier, key).then(
          (found) => {
            refusal = found;
            verified(found === undefined);
          },
          () => undefined,
        );
      },
      authHandler: [...methods],
    });
  });
}

/** A key that cannot be judged is refused, with the reason why it cannot. */
async function judge(verifier: HostKeyVerifier, key: Buffer): Promise<OutriderError | undefined> {
  try {
    const found = verifier.check(key);
    return found?.code === 'HostKeyUnknown' && verifier.learn !== undefined
      ? await verifier.learn(key)
      : found;
  } catch (error) {
    return error instanceof OutriderError ? error : new OutriderError(toProblem(error), { cause: error });
  }
}

const NAMES: Readonly<Record<string, string>> = {
  publickey: 'the private key',
  password: 'the password',
  'keyboard-interactive': '',
};

function connection(client: Client, options: SshOptions): SshConnection {
  const endpoint: Endpoint = { host: options.host, port: options.port, user: options.user };
  let open = true;
  const closed = new Promise<void>((resolve) => {
    client.once('close', () => {
      open = false;
      resolve();
    });
  });
  return {
    endpoint,
    closed,
    get open() {
      return open;
    },
    end: () => {
      open = false;
      client.end();
    },
    exec: async (command) => {
      if (!open) throw connectionLost(endpoint, 'before a command was started');
      return new Promise((resolve, reject) => {
        void closed.then(() => reject(connectionLost(endpoint, 'while a command was being started')));
        client.exec(command, (error, channel) => {
          if (error) reject(new ChannelRefused(error.message, { cause: error }));
          else resolve(channel);
        });
      });
    },
  };
}
