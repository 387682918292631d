import type { AttemptAnswer, AttemptRef, Problem } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import {
  cancelled,
  duplicate,
  notHeld,
  offerExpired,
  overProblem,
  recorded,
  refused,
  uncertain,
  wrongState,
} from './answers.ts';
import { readAttempt, updateAttempt } from './attempts.ts';
import { Changes, findTask } from './changes.ts';
import { settle } from './probes.ts';
import { speakerProblem } from './sessions.ts';
import { toClaimed } from './transitions.ts';

interface AcceptAttempts {
  by: Speaker;
  attempts: readonly AttemptRef[];
  now: Millis;
  leaseExpiresAt: Millis;
}

/** Why an open attempt of this runner cannot be claimed now. */
const claimProblem = (task: TaskRow, ref: AttemptRef, now: Millis): Problem | undefined => {
  if (task.state !== 'Offered') return wrongState(ref, 'accepted', task.state);
  if (task.cancel_requested === 1) return cancelled(ref);
  if (task.uncertain === 1) return uncertain(ref);
  return task.offer_expires_at === null || task.offer_expires_at <= now ? offerExpired(ref) : undefined;
};

const acceptOne = async (
  tx: Tx,
  command: AcceptAttempts,
  ref: AttemptRef,
  changes: Changes,
): Promise<AttemptAnswer> => {
  const { by, now, leaseExpiresAt } = command;
  const attempt = await readAttempt(tx, ref);
  if (attempt?.runner !== by.clientId) return refused(ref, notHeld(ref, by));
  if (attempt.ended_at !== null) return refused(ref, overProblem(attempt, 'accepted'));
  // An open attempt is at its task's current epoch (attempts_open).
  const task = await findTask(tx, ref.task);
  if (task?.session !== by.session) return refused(ref, notHeld(ref, by));
  if (task.state === 'Claimed' || task.state === 'Running') return duplicate(ref);
  const problem = claimProblem(task, ref, now);
  if (problem !== undefined) return refused(ref, problem);
  await changes.move(task, toClaimed(now, leaseExpiresAt), 'Accept');
  await updateAttempt(tx, ref, { claimed_at: now });
  return recorded(ref);
};

export const acceptAttempts = async (
  tx: Tx,
  command: AcceptAttempts,
): Promise<Changed & { answers: readonly AttemptAnswer[] }> => {
  const problem = await speakerProblem(tx, command.by);
  if (problem !== undefined)
    return { tasks: [], answers: command.attempts.map((ref) => refused(ref, problem)) };
  const changes = new Changes(tx, command.now);
  const answers: AttemptAnswer[] = [];
  for (const ref of command.attempts) answers.push(await acceptOne(tx, command, ref, changes));
  return { tasks: await settle(changes), answers };
};
