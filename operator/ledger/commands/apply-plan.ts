import type { Updateable } from 'kysely';
import { OutriderError } from '@outrider/protocol';
import type { Millis, Plan, PlannedTransition, RunAndTasks } from '../records.ts';
import { inChunks, type RunRow, type TasksTable, type Tx } from '../tables.ts';
import { endOpenAttempts } from './attempts.ts';
import { requireRun, withTasks } from './read-runs.ts';
import { toTerminal } from './transitions.ts';

/** How long a task waits for a runner when its plan does not say. */
export const defaultQueueMs = 3_600_000;

const legal: ReadonlySet<string> = new Set([
  'Pending/Ready',
  'Pending/Skipped',
  'Pending/Failed',
  'Pending/Cancelled',
  'Ready/Skipped',
  'Ready/Failed',
  'Ready/Cancelled',
  'Offered/Cancelled',
]);

const refuse = (message: string): OutriderError =>
  new OutriderError({
    code: 'StateMismatch',
    message,
    action: 'Nothing of the plan was applied: read the run and plan anew.',
  });

const changeOf = (transition: PlannedTransition, now: Millis): Updateable<TasksTable> => {
  const why = { reason: transition.reason ?? null, message: transition.message ?? null };
  if (transition.to !== 'Ready') return toTerminal(transition.to, now, why);
  return {
    ...why,
    state: 'Ready',
    ready_at: now,
    queue_deadline: transition.queueDeadline ?? now + defaultQueueMs,
  };
};

/** Transitions that write the same, so that a run of 10,000 tasks takes a few statements. */
const alike = (transitions: readonly PlannedTransition[]): Iterable<readonly PlannedTransition[]> =>
  Map.groupBy(transitions, ({ from, to, reason, message, queueDeadline }) =>
    JSON.stringify([from, to, reason, message, queueDeadline]),
  ).values();

const applyAlike = async (
  tx: Tx,
  run: RunRow,
  group: readonly PlannedTransition[],
  now: Millis,
): Promise<void> => {
  const [first] = group;
  if (first === undefined) return;
  const { from, to } = first;
  if (!legal.has(`${from}/${to}`)) throw refuse(`A plan cannot take a task from ${from} to ${to}.`);
  const change = changeOf(first, now);
  for (const chunk of inChunks(group)) {
    const ids = chunk.map(({ task }) => task);
    let update = tx.sql.updateTable('tasks').set(change);
    // The offer that is out is fenced by a new epoch.
    if (from === 'Offered') update = update.set((eb) => ({ epoch: eb('epoch', '+', 1) }));
    const result = await update
      .where('id', 'in', ids)
      .where('run_uid', '=', run.uid)
      .where('state', '=', from)
      .executeTakeFirst();
    if (Number(result.numUpdatedRows) !== chunk.length) {
      throw refuse(`Not every task that the plan takes from ${from} to ${to} is ${from} in run ${run.uid}.`);
    }
    if (from === 'Offered') await endOpenAttempts(tx, ids, 'Withdrawn', now);
  }
};

const finishRun = async (tx: Tx, plan: Plan, now: Millis): Promise<void> => {
  if (plan.finish === undefined) return;
  const open = await tx.sql
    .selectFrom('tasks')
    .select('id')
    .where('run_uid', '=', plan.runUid)
    .where('state', 'in', ['Pending', 'Ready', 'Offered', 'Claimed', 'Running', 'Unknown'])
    .limit(1)
    .executeTakeFirst();
  if (open !== undefined) throw refuse(`Run ${plan.runUid} cannot finish: task ${open.id} is not final.`);
  await tx.sql
    .updateTable('runs')
    .set({ ...plan.finish, finished_at: now })
    .where('uid', '=', plan.runUid)
    .execute();
};

export const applyPlan = async (
  tx: Tx,
  plan: Plan,
  now: Millis,
): Promise<{ applied: boolean } & RunAndTasks> => {
  const run = await requireRun(tx, plan.runUid);
  if (run.revision !== plan.revision || run.state !== 'Running')
    return { applied: false, ...(await withTasks(tx, run)) };
  for (const group of alike(plan.transitions)) await applyAlike(tx, run, group, now);
  if (plan.transitions.length > 0 || plan.finish !== undefined) {
    await tx.sql
      .updateTable('runs')
      .set({ revision: run.revision + 1 })
      .where('uid', '=', run.uid)
      .execute();
  }
  await finishRun(tx, plan, now);
  return { applied: true, ...(await withTasks(tx, await requireRun(tx, plan.runUid))) };
};
