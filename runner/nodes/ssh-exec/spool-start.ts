import { setTimeout as sleep } from 'node:timers/promises';
import { aborted } from '../attempt.ts';
import type { TaskContext } from '../contract.ts';
import { connect } from './connect.ts';
import type { Remote } from './detached.ts';
import { encodeStart, type RemoteLeader, type RemoteTask } from './message.ts';
import { killRemote } from './remote-kill.ts';
import { cannotStart, interpreterNotFound, workdirNotFound } from './session.ts';
import type { OpenLine } from './spool-line.ts';
import {
  fenced,
  newMark,
  noRoom,
  olderLives,
  requestStart,
  spoolKey,
  type StartAnswer,
} from './spool-session.ts';
import { START } from './start-program.ts';

/** Another attempt that starts at the same moment is given this long to come forward. */
const BUSY_MS = 200;
/** A start may meet an older attempt, a full memory disk, and another start in progress. */
const TRIES = 5;

export interface StartedSpool {
  readonly leader: RemoteLeader;
  readonly line: OpenLine;
}

/** The leader waits to be let go. Undefined if the attempt was stopped meanwhile; nothing of it is left then. */
export async function startSpool(
  context: TaskContext,
  remote: Remote,
  task: RemoteTask,
): Promise<StartedSpool | undefined> {
  let memory = true;
  for (let tries = 0; tries < TRIES; tries++) {
    const tried = await tryStart(context, remote, { task, memory });
    if (tried === undefined) return undefined;
    const { line, answer } = tried;
    if (answer.kind === 'Started') return { leader: answer.leader, line };
    line.leased.channel.close();
    line.leased.release();
    const full = await makeWay(context, remote, { answer, memory, task });
    if (full) memory = false;
  }
  throw cannotStart(remote.options, Buffer.from('another attempt at this step is starting there'));
}

interface Tried {
  readonly line: OpenLine;
  readonly answer: StartAnswer;
}

async function tryStart(
  context: TaskContext,
  remote: Remote,
  { task, memory }: { readonly task: RemoteTask; readonly memory: boolean },
): Promise<Tried | undefined> {
  const leased = await connect(context, remote, START);
  if (leased === undefined) return undefined;
  const mark = newMark();
  const { task: id, epoch } = context.attempt;
  const message = encodeStart({ mark, key: spoolKey(id), epoch, memory }, task);
  const starting = requestStart(leased, mark, message);
  try {
    const answer = await Promise.race([starting, aborted(context.signal)]);
    if (answer !== 'stopped') return { line: { leased, mark }, answer };
    starting.catch(() => undefined);
  } catch (error) {
    leased.channel.close();
    leased.release();
    throw error;
  }
  // The end of stdin, not a go: the leader ends without having run anything of the user's.
  leased.channel.close();
  leased.release();
  return undefined;
}

interface Obstacle {
  readonly answer: Exclude<StartAnswer, { readonly kind: 'Started' }>;
  readonly memory: boolean;
  readonly task: RemoteTask;
}

/** Returns when another try may succeed, true if on a disk; throws why none will. */
async function makeWay(
  context: TaskContext,
  remote: Remote,
  { answer, memory, task }: Obstacle,
): Promise<boolean> {
  const { options } = remote;
  if (answer.kind === 'Fenced') throw fenced(options.host, context.attempt.epoch, answer.epoch);
  if (answer.kind === 'Interpreter') throw interpreterNotFound(options, task.interpreter.join(' '));
  if (answer.kind === 'Workdir') throw workdirNotFound(options, task.workdir ?? '');
  if (answer.kind === 'Full' && !memory) throw noRoom(options.host, answer.folder, answer.freeKib);
  if (answer.kind === 'Older') await endOlder(context, remote, answer);
  if (answer.kind === 'Busy') await sleep(BUSY_MS);
  return answer.kind === 'Full';
}

/** The fence on the target: what an attempt of a lower epoch left there ends before this one begins. */
async function endOlder(
  context: TaskContext,
  { pool, options }: Remote,
  { epoch, leader }: { readonly epoch: number; readonly leader: RemoteLeader },
): Promise<void> {
  const marker = `${context.attempt.task}/${epoch}`;
  const { found, left } = await killRemote({ pool, options, leader, marker });
  if (left !== undefined) throw olderLives(options.host, epoch, left);
  await context.note(
    `Attempt ${epoch} of this step ${found ? 'still ran on' : 'had left its output on'} ${options.host}; ${found ? 'it was ended' : 'that was removed'} before this one began.`,
  );
}
