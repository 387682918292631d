import { deepStrictEqual } from 'node:assert';
import { attemptKey } from '@outrider/protocol';
import { terminalStates, type RunAndTasks, type TaskRecord, type TaskState } from '../records.ts';
import type { World } from './world.ts';

/** Dispatch's table of states, with what a sweep may do in one command. */
const next: Readonly<Record<TaskState, readonly TaskState[]>> = {
  Pending: ['Ready', 'Blocked', 'AwaitingHuman', 'Skipped', 'Cancelled', 'Failed'],
  Blocked: ['Ready', 'Failed', 'Cancelled', 'Skipped'],
  Ready: ['Blocked', 'Offered', 'Failed', 'Cancelled', 'Skipped'],
  Offered: ['Ready', 'Claimed', 'Cancelled', 'Failed'],
  Claimed: ['Running', 'Ready', 'Cancelled', 'Succeeded', 'Failed', 'TimedOut', 'Unknown'],
  Running: ['Ready', 'Succeeded', 'Failed', 'TimedOut', 'Cancelled', 'Unknown'],
  Unknown: [
    'Claimed',
    'Running',
    'Succeeded',
    'Failed',
    'TimedOut',
    'Cancelled',
    'Ready',
    'Lost',
    'Verifying',
    'AwaitingHuman',
  ],
  Verifying: [],
  AwaitingHuman: [],
  Succeeded: [],
  Failed: [],
  TimedOut: [],
  Cancelled: [],
  Skipped: [],
  Lost: [],
};

const violated = (invariant: number, what: string): Error => new Error(`invariant ${invariant}: ${what}`);

const checkEpoch = (before: TaskRecord, after: TaskRecord): void => {
  const isOffer = after.state === 'Offered' && before.state !== 'Offered';
  const isWithdrawal = before.state === 'Offered' && after.state === 'Cancelled';
  const grown = after.epoch - before.epoch;
  if (grown !== (isOffer || isWithdrawal ? 1 : 0)) {
    throw violated(
      1,
      `the epoch of ${after.id} went from ${before.epoch} to ${after.epoch} as it became ${after.state}`,
    );
  }
};

const checkTransition = (before: TaskRecord, after: TaskRecord): void => {
  if (terminalStates.has(before.state)) {
    deepStrictEqual(after, before, violated(5, `${before.state} task ${before.id} changed`));
    return;
  }
  checkEpoch(before, after);
  if (after.state !== before.state && !next[before.state].includes(after.state)) {
    throw violated(1, `${after.id} went from ${before.state} to ${after.state}`);
  }
};

const deadlines: Partial<Record<TaskState, (task: TaskRecord, graceMs: number) => number | null>> = {
  Ready: (task) => task.queueDeadline,
  Offered: (task) => task.offerExpiresAt,
  Claimed: (task) => task.leaseExpiresAt,
  Running: (task) => task.leaseExpiresAt,
  Unknown: (task, graceMs) => (task.unknownSince === null ? null : task.unknownSince + graceMs),
};

const checkDeadline = (task: TaskRecord, options: { graceMs: number; sweptAt: number | undefined }): void => {
  const deadline = deadlines[task.state]?.(task, options.graceMs);
  if (deadline === undefined) return;
  if (deadline === null) throw violated(6, `${task.state} task ${task.id} has no deadline`);
  if (options.sweptAt !== undefined && deadline <= options.sweptAt)
    throw violated(6, `${task.state} task ${task.id} is past its deadline`);
};

/** Under Fail: whatever began on a target is the only beginning, unless its result is recorded. */
const checkStarts = (world: World): void => {
  for (const [index, { ref, session }] of world.starts.entries()) {
    const earlier = world.starts.slice(0, index).find((start) => start.ref.task === ref.task);
    if (earlier === undefined || world.results.has(attemptKey(earlier.ref))) continue;
    throw violated(
      4,
      `${attemptKey(ref)} began in ${session} while ${attemptKey(earlier.ref)} has no result`,
    );
  }
};

const withoutLease = (task: TaskRecord): TaskRecord => ({ ...task, leaseExpiresAt: null });
const differs = (one: unknown, other: unknown): boolean => JSON.stringify(one) !== JSON.stringify(other);

/** What a command answers with is what the ledger holds, all of it, and a changed run has a new revision. */
const checkTold = (world: World, before: RunAndTasks, after: RunAndTasks): void => {
  const told = new Map(world.told.map((task) => [task.id, task]));
  let hasMoved = false;
  for (const [index, task] of after.tasks.entries()) {
    const old = before.tasks[index];
    const answer = told.get(task.id);
    if (answer !== undefined)
      deepStrictEqual(answer, task, violated(9, `the answer about ${task.id} is not what is stored`));
    if (!differs(old, task)) continue;
    if (answer === undefined) throw violated(9, `${task.id} changed and no answer said so`);
    if (old !== undefined && differs(withoutLease(old), withoutLease(task))) hasMoved = true;
  }
  if (hasMoved && after.run.revision <= before.run.revision)
    throw violated(9, 'a task moved and the revision did not grow');
};

export interface Step {
  readonly before: RunAndTasks;
  readonly after: RunAndTasks;
  readonly graceMs: number;
  /** Set when the step was a sweep. */
  readonly sweptAt: number | undefined;
}

/** Throws when a step broke one of the invariants 1, 2, 4, 5, 6 or 9 of dispatch (2 also by the answers to accepts). */
export const checkStep = (world: World, { before, after, graceMs, sweptAt }: Step): void => {
  for (const [index, task] of after.tasks.entries()) {
    const old = before.tasks[index];
    if (old?.id !== task.id) throw violated(9, 'tasks are read in another order');
    checkTransition(old, task);
    checkDeadline(task, { graceMs, sweptAt });
  }
  checkStarts(world);
  checkTold(world, before, after);
};
