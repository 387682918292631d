import { deepStrictEqual } from 'node:assert';
import { attemptKey } from '@outrider/protocol';
import { terminalStates, type RunAndTasks, type TaskRecord } from '../ledger/records.ts';
import type { Action } from './actions.ts';
import { sweep, makePlan, applyPlan, type Model } from './operator.ts';
import type { Execution } from './world.ts';

/** The numbers are those of the invariants of dispatch (operator/ledger/README.md). */
const violated = (invariant: number, what: string): Error => new Error(`invariant ${invariant}: ${what}`);

const checkEpoch = (before: TaskRecord, after: TaskRecord): void => {
  if (after.epoch < before.epoch || after.epoch > before.epoch + 1)
    throw violated(1, `the epoch of ${after.id} went from ${before.epoch} to ${after.epoch}`);
};

const checkTerminal = (before: TaskRecord, after: TaskRecord): void => {
  if (terminalStates.has(before.state))
    deepStrictEqual(after, before, violated(5, `${before.state} task ${before.id} changed`));
};

/** A result counts for the attempt that it was told of, and for no other. */
const checkResult = (model: Model, task: TaskRecord): void => {
  if (task.result === null || model.world.results[`${task.id}/${task.epoch}`] !== undefined) return;
  throw violated(1, `${task.id} has a result at epoch ${task.epoch} that nobody told of that epoch`);
};

/** Until when a state may last; the others have `deadline`. */
const deadlines: Partial<Record<TaskRecord['state'], (task: TaskRecord) => number | null>> = {
  Ready: ({ queueDeadline }) => queueDeadline,
  Offered: ({ offerExpiresAt }) => offerExpiresAt,
  Claimed: ({ leaseExpiresAt }) => leaseExpiresAt,
  Running: ({ leaseExpiresAt }) => leaseExpiresAt,
  Unknown: ({ unknownSince }) => unknownSince,
};

const checkDeadline = (task: TaskRecord): void => {
  if (task.state === 'Pending' || terminalStates.has(task.state)) return;
  const deadline = (deadlines[task.state] ?? (({ deadline: end }) => end))(task);
  if (deadline === null) throw violated(6, `${task.state} task ${task.id} has no deadline`);
};

/** Attempts that the ledger says are over without a result, by what ended them. */
const endings = ({ memory }: Model): Map<string, string> =>
  new Map(
    memory
      .rows('SELECT task, epoch, ending FROM attempts WHERE ending IS NOT NULL')
      .map((row) => [`${String(row['task'])}/${String(row['epoch'])}`, String(row['ending'])]),
  );

const claimed = ({ memory }: Model, { ref }: Execution): boolean =>
  memory.rows(
    'SELECT 1 FROM attempts WHERE task = ? AND epoch = ? AND claimed_at IS NOT NULL',
    ref.task,
    ref.epoch,
  ).length === 1;

/** A person's word, the probe's, or the policy Retry lets another attempt follow one whose end nobody saw. */
const clearing = new Set(['Decided', 'Verified', 'Retried']);

/** What has to be true of an earlier side effect for another to begin. */
const checkEarlier = (model: Model, started: Execution, earlier: Execution): void => {
  const key = attemptKey(earlier.ref);
  if (earlier.ref.task !== started.ref.task) {
    if (earlier.alive && isLocked(model))
      throw violated(8, `${attemptKey(started.ref)} began while ${key} acts on the same target`);
    return;
  }
  const isTold = model.world.results[key] !== undefined;
  if (!isTold && !clearing.has(endings(model).get(key) ?? ''))
    throw violated(4, `${attemptKey(started.ref)} began while ${key} has no result`);
};

const checkStart = (model: Model, started: Execution): void => {
  const key = attemptKey(started.ref);
  if (!claimed(model, started)) throw violated(3, `${key} began before it was accepted`);
  if (started.overlaps) throw violated(4, `${key} began while an older attempt was at work`);
  for (const earlier of model.world.executions)
    if (earlier !== started) checkEarlier(model, started, earlier);
};

const isLocked = ({ memory }: Model): boolean =>
  memory.rows('SELECT 1 FROM tasks WHERE lock_key IS NOT NULL').length > 0;

const moved = (before: RunAndTasks, after: RunAndTasks): boolean => {
  const view = ({ tasks }: RunAndTasks): string =>
    JSON.stringify(tasks.map(({ id, state, epoch, startedAt }) => [id, state, epoch, startedAt]));
  return view(before) !== view(after);
};

export const snapshot = async ({ memory, world }: Model): Promise<RunAndTasks> => {
  const found = await memory.commands.readRun(memory.tx, world.runUid);
  if (found === undefined) throw new Error('the run is gone');
  return found;
};

/** Throws when a step broke an invariant. */
export const checkStep = async (
  model: Model,
  step: { readonly before: RunAndTasks; readonly executions: number; readonly action: Action },
): Promise<void> => {
  const after = await snapshot(model);
  const earlier = new Map(step.before.tasks.map((task) => [task.id, task]));
  for (const task of after.tasks) {
    const before = earlier.get(task.id);
    checkDeadline(task);
    checkResult(model, task);
    if (before === undefined) continue;
    checkEpoch(before, task);
    checkTerminal(before, task);
  }
  for (const started of model.world.executions.slice(step.executions)) checkStart(model, started);
  if (moved(step.before, after) && after.run.revision <= step.before.run.revision)
    throw violated(9, 'a task moved and the revision did not grow');
};

/** More deadlines than any task can pass one after the other. */
const patience = 40;

/** Whatever state the world is in: with no runner left, time alone ends the run. Leaves the world changed. */
export const checkEnds = async (model: Model): Promise<void> => {
  const { world } = model;
  for (let passed = 0; passed < patience; passed++) {
    for (let plan = await makePlan(model); plan !== undefined; plan = await makePlan(model))
      await applyPlan(model, plan);
    const { run } = await snapshot(model);
    if (run.state !== 'Running') return;
    world.now += 8 * 86_400_000;
    await sweep(model);
  }
  const { tasks } = await snapshot(model);
  const left = tasks.filter(({ state }) => !terminalStates.has(state));
  throw violated(6, `time does not end ${left.map(({ id, state }) => `${id} (${state})`).join(', ')}`);
};
