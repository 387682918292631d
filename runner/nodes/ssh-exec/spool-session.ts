import { OutriderError } from '@outrider/protocol';
import { connectionLost } from '@outrider/transports/ssh-errors';
import type { LeasedChannel } from '@outrider/transports/ssh-pool';
import { createHash, randomBytes } from 'node:crypto';
import type { OutputOffsets } from '../contract.ts';
import { parseLeader, type RemoteLeader } from './message.ts';
import { cannotStart, readMarked } from './session.ts';

/** Begins with a byte that text does not hold, and is followed by what nobody can guess. */
export const newMark = (): string => `\u001eoutrider-${randomBytes(16).toString('hex')}`;

/** Names the spool of a task. The id goes in as a hash: it may hold any characters. */
export const spoolKey = (task: string): string =>
  createHash('sha256').update(task).digest('hex').slice(0, 32);

export type StartAnswer =
  | { readonly kind: 'Started'; readonly leader: RemoteLeader }
  /** A spool of an older attempt is there; `leader` is undefined if that attempt never began. */
  | { readonly kind: 'Older'; readonly epoch: number; readonly leader: RemoteLeader }
  /** This attempt, or a newer one, has been started there. */
  | { readonly kind: 'Fenced'; readonly epoch: number }
  /** Another attempt is starting at this moment. */
  | { readonly kind: 'Busy' }
  | { readonly kind: 'Full'; readonly freeKib: number; readonly folder: string }
  | { readonly kind: 'Interpreter' }
  | { readonly kind: 'Workdir' };

/** Sends the message of a start and reads what the target makes of it. Throws if it makes nothing of it. */
export async function requestStart(
  leased: LeasedChannel,
  mark: string,
  message: Buffer,
): Promise<StartAnswer> {
  leased.channel.write(message);
  const { words, noise } = await readMarked(leased, mark);
  const answer = words === undefined ? undefined : readAnswer(words);
  if (answer !== undefined) return answer;
  const { connection } = leased;
  if (!connection.open) throw connectionLost(connection.endpoint, 'before the script was started');
  throw cannotStart(connection.endpoint, noise);
}

const answers: Readonly<Record<string, (rest: string[]) => StartAnswer>> = {
  started: (rest) => ({ kind: 'Started', leader: parseLeader(rest) }),
  older: ([epoch, ...leader]) => ({ kind: 'Older', epoch: Number(epoch), leader: parseLeader(leader) }),
  fenced: ([epoch]) => ({ kind: 'Fenced', epoch: Number(epoch) }),
  busy: () => ({ kind: 'Busy' }),
  full: ([freeKib, ...folder]) => ({ kind: 'Full', freeKib: Number(freeKib), folder: folder.join(' ') }),
  interpreter: () => ({ kind: 'Interpreter' }),
  workdir: () => ({ kind: 'Workdir' }),
};

const readAnswer = ([word = '', ...rest]: string[]): StartAnswer | undefined =>
  Object.hasOwn(answers, word) ? answers[word]?.(rest) : undefined;

export interface AttachRequest {
  readonly mark: string;
  readonly leader: RemoteLeader;
  readonly from: OutputOffsets;
}

/** Takes up a spool. Throws TargetRestarted or SpoolLost where nothing is left to take up, and ConnectionLost. */
export async function attach(leased: LeasedChannel, request: AttachRequest): Promise<void> {
  const { mark, leader, from } = request;
  const { endpoint } = leased.connection;
  leased.channel.write(`${mark} ${leader.bootId} ${from.stdout} ${from.stderr} ${leader.folder}\n`);
  const { words, noise } = await readMarked(leased, mark);
  const word = words?.[0];
  if (word === 'attached') return;
  if (word === 'restarted') throw targetRestarted(endpoint.host);
  if (word === 'gone') throw spoolGone(endpoint.host, leader.folder);
  if (word === 'orphan') throw keeperKilled(endpoint.host);
  if (leased.connection.open) throw cannotStart(endpoint, noise);
  throw connectionLost(endpoint, 'while the script was being looked for');
}

const targetRestarted = (host: string): OutriderError =>
  new OutriderError({
    code: 'TargetRestarted',
    message: `${host} was restarted while the script ran there. How far it had come is not known.`,
    action: 'Look at the target, then start the run again if that is safe.',
  });

const spoolGone = (host: string, folder: string): OutriderError =>
  new OutriderError({
    code: 'SpoolLost',
    message: `The folder ${folder}, in which ${host} kept output and exit code of the script, is gone.`,
    action:
      'Find what removes such folders there (a cleaner of temporary files, a logout policy), then decide about the step.',
  });

export const keeperKilled = (host: string): OutriderError =>
  new OutriderError({
    code: 'SpoolLost',
    message: `The process that kept watch over the script on ${host} was killed; its exit code is not known.`,
    action:
      'Look there for what killed processes of this user (lack of memory, a logout policy), then decide about the step.',
  });

export const fenced = (host: string, epoch: number, found: number): OutriderError =>
  new OutriderError({
    code: 'EpochFenced',
    message: `${host} refused attempt ${epoch} of this step: attempt ${found} of it has been started there.`,
    action: 'Nothing was run by this attempt. Look at the newer one.',
  });

export const olderLives = (host: string, epoch: number, left: string): OutriderError =>
  new OutriderError({
    code: 'EpochFenced',
    message: `Attempt ${epoch} of this step still runs on ${host} and could not be ended: ${left}. Nothing was run by this attempt.`,
    action: 'End those processes there, then start the run again.',
  });

export const noRoom = (host: string, folder: string, freeKib: number): OutriderError =>
  new OutriderError({
    code: 'SpoolFull',
    message: `The file system of ${folder} on ${host} has ${freeKib} KiB free; output cannot be kept there.`,
    action: 'Make 4 MiB or more free in /dev/shm, TMPDIR or /tmp there, or set detach: false on the step.',
  });
