import { deepStrictEqual } from 'node:assert';
import { attemptKey } from '@outrider/protocol';
import { terminalStates, type RunAndTasks, type TaskRecord, type TaskState } from '../records.ts';
import type { Execution, World } from './world.ts';

const outcomes = ['Succeeded', 'Failed', 'TimedOut', 'Cancelled'] as const;

/** Dispatch's table of states, with what a sweep may do in one command, and with what is taken for the truth while nobody has acted. */
const next: Readonly<Record<TaskState, readonly TaskState[]>> = {
  Pending: ['Ready', 'Blocked', 'AwaitingHuman', 'Skipped', 'Cancelled', 'Failed'],
  Blocked: ['Ready', 'Failed', 'Cancelled', 'Skipped'],
  Ready: ['Blocked', 'Offered', 'Failed', 'Cancelled', 'Skipped'],
  Offered: ['Ready', 'Claimed', 'Cancelled', 'Failed'],
  Claimed: ['Running', 'Ready', 'Unknown', ...outcomes],
  Running: ['Ready', 'Unknown', ...outcomes],
  Unknown: ['Claimed', 'Running', 'Ready', 'Verifying', 'AwaitingHuman', 'Lost', ...outcomes],
  Verifying: ['Claimed', 'Running', 'Ready', 'AwaitingHuman', ...outcomes],
  AwaitingHuman: ['Claimed', 'Running', 'Ready', 'Lost', ...outcomes],
  Succeeded: [],
  Failed: [],
  TimedOut: [],
  Cancelled: [],
  Skipped: [],
  Lost: [],
};

const violated = (invariant: number, what: string): Error => new Error(`invariant ${invariant}: ${what}`);

/** A probe that nobody needs may have lost its offer, to time or to a new session, in the same command that ends it. */
const grownBy = (before: TaskRecord, after: TaskRecord): readonly number[] => {
  const isWithdrawal = before.state === 'Offered' && after.state === 'Cancelled';
  if (isWithdrawal) return after.probeOf === null ? [1] : [0, 1];
  return after.state === 'Offered' && before.state !== 'Offered' ? [1] : [0];
};

const checkEpoch = (before: TaskRecord, after: TaskRecord): void => {
  if (grownBy(before, after).includes(after.epoch - before.epoch)) return;
  throw violated(
    1,
    `the epoch of ${after.id} went from ${before.epoch} to ${after.epoch} as it became ${after.state}`,
  );
};

const checkTransition = (before: TaskRecord, after: TaskRecord, { mayJump }: Step): void => {
  if (terminalStates.has(before.state)) {
    deepStrictEqual(after, before, violated(5, `${before.state} task ${before.id} changed`));
    return;
  }
  if (mayJump) {
    if (after.epoch < before.epoch) throw violated(1, `the epoch of ${after.id} fell to ${after.epoch}`);
    return;
  }
  checkEpoch(before, after);
  if (after.state !== before.state && !next[before.state].includes(after.state)) {
    throw violated(1, `${after.id} went from ${before.state} to ${after.state}`);
  }
};

const deadlines: Partial<Record<TaskState, (task: TaskRecord, graceMs: number) => number | null>> = {
  Blocked: (task) => task.deadline,
  Ready: (task) => task.queueDeadline,
  Offered: (task) => task.offerExpiresAt,
  Claimed: (task) => task.leaseExpiresAt,
  Running: (task) => task.leaseExpiresAt,
  Unknown: (task, graceMs) => (task.unknownSince === null ? null : task.unknownSince + graceMs),
  Verifying: (task) => task.deadline,
  AwaitingHuman: (task) => task.deadline,
};

/** A restored task that nobody has vouched for waits for the end of recovery, which a person brings about. */
const checkDeadline = (task: TaskRecord, options: { graceMs: number; sweptAt: number | undefined }): void => {
  const deadline = deadlines[task.state]?.(task, options.graceMs);
  if (deadline === undefined) return;
  if (deadline === null) throw violated(6, `${task.state} task ${task.id} has no deadline`);
  if (task.uncertain) return;
  if (options.sweptAt !== undefined && deadline <= options.sweptAt)
    throw violated(6, `${task.state} task ${task.id} is past its deadline`);
};

/** A recorded result, a person, the verify script; or, under Retry, that the runner has killed its own work. */
const mayBeFollowed = (world: World, earlier: Execution, by: Execution): boolean => {
  const key = attemptKey(earlier.ref);
  if (world.everRecorded.has(key) || world.cleared.has(key)) return true;
  const isOver = !by.beside.includes(earlier) || earlier.isOrphan;
  return earlier.ref.task === world.taskIds[1] && isOver;
};

/** What has begun since the last step. */
const checkStart = (world: World, started: Execution, before: readonly Execution[]): void => {
  const [first, second] = world.taskIds;
  for (const earlier of before) {
    const told = `${attemptKey(started.ref)} began in ${started.session} while ${attemptKey(earlier.ref)}`;
    if (earlier.ref.task === started.ref.task) {
      if (!mayBeFollowed(world, earlier, started)) throw violated(4, `${told} has no result`);
      continue;
    }
    const share = [earlier, started].every(({ ref }) => ref.task === first || ref.task === second);
    if (share && started.beside.includes(earlier) && !world.released.has(earlier.ref.task))
      throw violated(8, `${told} acts on the target that takes one at a time`);
  }
};

const withoutLease = (task: TaskRecord): TaskRecord => ({ ...task, leaseExpiresAt: null });
const differs = (one: unknown, other: unknown): boolean => JSON.stringify(one) !== JSON.stringify(other);

/** What a command answers with is what the ledger holds, all of it, and a changed run has a new revision. */
const checkTold = (world: World, before: RunAndTasks, after: RunAndTasks): void => {
  const told = new Map(world.told.map((task) => [task.id, task]));
  const known = new Map(before.tasks.map((task) => [task.id, task]));
  let hasMoved = false;
  for (const task of after.tasks) {
    const old = known.get(task.id);
    const answer = told.get(task.id);
    if (answer !== undefined)
      deepStrictEqual(answer, task, violated(9, `the answer about ${task.id} is not what is stored`));
    if (!differs(old, task)) continue;
    if (answer === undefined) throw violated(9, `${task.id} changed and no answer said so`);
    if (old === undefined || differs(withoutLease(old), withoutLease(task))) hasMoved = true;
  }
  if (hasMoved && after.run.revision <= before.run.revision)
    throw violated(9, 'a task moved and the revision did not grow');
};

/** What is read for the changes since a revision is everything that was written since. */
const checkChangedSince = async (world: World, before: RunAndTasks, after: RunAndTasks): Promise<void> => {
  const { revision } = before.run;
  const changed = await world.ledger.changedSince({ uid: world.runUid, revision });
  const merged = new Map(before.tasks.map((task) => [task.id, task]));
  for (const task of changed?.tasks ?? []) merged.set(task.id, task);
  deepStrictEqual(
    Array.from(merged.values(), withoutLease).sort((a, b) => (a.id < b.id ? -1 : 1)),
    after.tasks.map(withoutLease).sort((a, b) => (a.id < b.id ? -1 : 1)),
    violated(9, `changes since revision ${revision} were left out`),
  );
};

export interface Step {
  readonly before: RunAndTasks;
  readonly after: RunAndTasks;
  readonly graceMs: number;
  /** Set when the step was a sweep. */
  readonly sweptAt: number | undefined;
  /** The step was part of a recovery: a task may jump to where a journal says it is, its epoch never falls. */
  readonly mayJump: boolean;
  /** How many executions there were before the step. */
  readonly begun: number;
}

/** Throws when a step broke one of the invariants 1, 2, 4, 5, 6, 8 or 9 of dispatch (2 also by the answers to accepts). */
export const checkStep = async (world: World, step: Step): Promise<void> => {
  const { before, after, graceMs, sweptAt } = step;
  const known = new Map(before.tasks.map((task) => [task.id, task]));
  for (const task of after.tasks) {
    const old = known.get(task.id);
    if (old) checkTransition(old, task, step);
    checkDeadline(task, { graceMs, sweptAt });
  }
  for (let index = step.begun; index < world.starts.length; index += 1) {
    const started = world.starts[index];
    if (started) checkStart(world, started, world.starts.slice(0, index));
  }
  checkTold(world, before, after);
  await checkChangedSince(world, before, after);
};
