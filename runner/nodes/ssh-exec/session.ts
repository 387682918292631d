import { OutriderError } from '@outrider/protocol';
import { connectionLost, type Endpoint } from '@outrider/transports/ssh-errors';
import type { LeasedChannel } from '@outrider/transports/ssh-pool';
import type { ClientChannel } from 'ssh2';
import type { ProcessEnd } from '../attempt.ts';
import { findAnnouncement, findLine, type RemoteLeader } from './message.ts';

/** Text from before the script that is kept for a message. */
const NOISE_BYTES = 4096;

export interface StartRequest {
  readonly leased: LeasedChannel;
  readonly mark: string;
  readonly message: Buffer;
  /** For messages. */
  readonly interpreter: string;
  readonly workdir: string | undefined;
}

/**
 * Sends the message and returns when the leader has said who it is and waits to be let go. What the login shell printed
 * before that is dropped; what follows stays in the channel. Throws why the script cannot start there.
 */
export async function startRemote(request: StartRequest): Promise<RemoteLeader> {
  const { channel, connection } = request.leased;
  channel.write(request.message);
  const { found, noise } = await readUntil(channel, (bytes) => findAnnouncement(request.mark, bytes));
  const said = found?.said;
  if (said === undefined) {
    if (!connection.open) throw connectionLost(connection.endpoint, 'before the script was started');
    throw cannotStart(connection.endpoint, noise);
  }
  if (said === 'interpreter') throw interpreterNotFound(connection.endpoint, request.interpreter);
  if (said === 'workdir') throw workdirNotFound(connection.endpoint, request.workdir ?? '');
  return said;
}

/**
 * The words of the first line on stdout that begins with the mark; `noise` is what the login shell said before, or in its
 * place. Of stderr nothing is taken: the two streams overtake each other.
 */
export async function readMarked(
  { channel }: LeasedChannel,
  mark: string,
): Promise<{ words: string[] | undefined; noise: Buffer }> {
  const { found, errors, noise } = await readUntil(channel, (bytes) => findLine(mark, bytes));
  if (errors.length > 0) channel.stderr.unshift(errors);
  return { words: found?.words, noise };
}

/** Reads until something is found; what follows it stays in the channel. */
async function readUntil<T extends { readonly rest: Buffer }>(
  channel: ClientChannel,
  find: (bytes: Buffer) => T | undefined,
): Promise<{ found: T | undefined; errors: Buffer; noise: Buffer }> {
  const errors: Buffer[] = [];
  const hear = (chunk: Buffer): void => void errors.push(chunk);
  channel.stderr.on('data', hear);
  let seen: Buffer = Buffer.alloc(0);
  let found: T | undefined;
  const chunks: AsyncIterator<Buffer> = channel.iterator({ destroyOnReturn: false });
  while (found === undefined) {
    const next = await chunks.next().catch(() => undefined);
    if (next === undefined || next.done) break;
    // Only the end may hold the beginning of the line.
    seen = Buffer.concat([seen.subarray(-NOISE_BYTES), next.value]);
    found = find(seen);
  }
  if (found !== undefined) {
    await chunks.return?.();
    if (found.rest.length > 0) channel.unshift(found.rest);
  }
  channel.stderr.off('data', hear);
  channel.stderr.pause();
  return { found, errors: Buffer.concat(errors), noise: Buffer.concat([seen, ...errors]) };
}

/** How the process behind a channel ended. Rejects with ConnectionLost if that is never told. */
export function exitOf({ channel, connection }: LeasedChannel): Promise<ProcessEnd> {
  const exited = new Promise<ProcessEnd>((resolve, reject) => {
    channel.once('exit', (code: number | null, signal?: string) =>
      resolve({ code: code ?? undefined, signal: code === null ? (signal ?? 'SIGKILL') : undefined }),
    );
    const lost = (): void => reject(connectionLost(connection.endpoint, 'while the script ran'));
    channel.once('close', lost);
    void connection.closed.then(lost);
  });
  // Whoever waits sees the rejection; nobody may be waiting yet.
  exited.catch(() => undefined);
  return exited;
}

export function cannotStart({ host, port, user }: Endpoint, noise: Buffer): OutriderError {
  const text = noise.toString().trim().slice(-400);
  return new OutriderError({
    code: 'TargetUnreachable',
    message: `${user}@${host}:${port} accepted the login but started no script${text === '' ? ' and said nothing' : `; it said: ${text}`}`,
    action: `Check that the user has a login shell, /bin/sh, and a writable /tmp there: ssh ${user}@${host} true.`,
  });
}

export const interpreterNotFound = ({ host }: Endpoint, interpreter: string): OutriderError =>
  new OutriderError({
    code: 'InterpreterNotFound',
    message: `The interpreter ${interpreter} does not exist on ${host}, or may not be executed.`,
    action: 'Install it there, or set interpreter to one that is there; /bin/sh is used when it is absent.',
  });

export const workdirNotFound = ({ host, user }: Endpoint, workdir: string): OutriderError =>
  new OutriderError({
    code: 'CommandInvalid',
    message: `The working folder ${workdir} does not exist on ${host}, or ${user} may not enter it.`,
    action: "Create it there, or leave workdir out to work in the user's home.",
  });
