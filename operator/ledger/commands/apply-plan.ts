import type { Updateable } from 'kysely';
import { OutriderError } from '@outrider/protocol';
import type { Millis, Plan, PlannedTransition, RunAndTasks } from '../records.ts';
import { terminalStates } from '../records.ts';
import { toRun } from '../rows.ts';
import { inChunks, type RunRow, type TaskRow, type TasksTable, type Tx } from '../tables.ts';
import { endAttempt, endOpenAttempts } from './attempts.ts';
import { Changes } from './changes.ts';
import { settleLock } from './locks.ts';
import { guardNormal } from './meta.ts';
import { isLegal } from './moves.ts';
import { defaultQueueMs } from './policies.ts';
import { settle } from './probes.ts';
import { requireRun } from './read-runs.ts';
import { toAwaitingHuman, toBlocked, toTerminal } from './transitions.ts';

const refuse = (message: string): OutriderError =>
  new OutriderError({
    code: 'StateMismatch',
    message,
    action: 'Nothing of the plan was applied: read the run and plan anew.',
  });

const changeOf = (transition: PlannedTransition, now: Millis): Updateable<TasksTable> => {
  const reason = transition.reason ?? null;
  const message = transition.message ?? null;
  const told = { reason: reason ?? transition.to, message: message ?? '' };
  if (transition.to === 'Blocked') return toBlocked(now, told);
  if (transition.to === 'AwaitingHuman') return { ...toAwaitingHuman(now, told), uncertain: 0 };
  if (transition.to !== 'Ready') return toTerminal(transition.to, now, { reason, message });
  const queueDeadline = transition.queueDeadline ?? now + defaultQueueMs;
  return {
    state: 'Ready',
    reason,
    message,
    ready_at: now,
    queue_deadline: queueDeadline,
    queue_ms: queueDeadline - now,
    deadline: null,
  };
};

/** Transitions that write the same, so that a run of 10,000 tasks takes a few statements. */
const alike = (transitions: readonly PlannedTransition[]): Iterable<readonly PlannedTransition[]> =>
  Map.groupBy(transitions, ({ from, to, reason, message, queueDeadline }) =>
    JSON.stringify([from, to, reason, message, queueDeadline]),
  ).values();

/** What a plan ends: an offer that is out is fenced by a new epoch; work whose end nobody knows stays unconfirmed. */
const endAttempts = async (
  changes: Changes,
  from: TaskRow['state'],
  rows: readonly TaskRow[],
): Promise<void> => {
  const { tx, now } = changes;
  if (from === 'Offered') {
    await endOpenAttempts(
      tx,
      rows.map(({ id }) => id),
      'Withdrawn',
      now,
    );
    for (const row of rows) await settleLock(tx, row, 'Unstarted', now);
  }
};

const applyAlike = async (
  changes: Changes,
  run: RunRow,
  group: readonly PlannedTransition[],
): Promise<void> => {
  const { tx, now } = changes;
  const [first] = group;
  if (first === undefined) return;
  const { from, to } = first;
  if (!isLegal('Plan', from, to)) throw refuse(`A plan cannot take a task from ${from} to ${to}.`);
  const revision = await changes.revise(run.uid);
  const change = { ...changeOf(first, now), revision };
  for (const chunk of inChunks(group)) {
    let update = tx.sql.updateTable('tasks').set(change);
    if (from === 'Offered') update = update.set((eb) => ({ epoch: eb('epoch', '+', 1) }));
    const rows = await update
      .where(
        'id',
        'in',
        chunk.map(({ task }) => task),
      )
      .where('run_uid', '=', run.uid)
      .where('state', '=', from)
      .returningAll()
      .execute();
    if (rows.length !== chunk.length)
      throw refuse(`Not every task that the plan takes from ${from} to ${to} is ${from} in run ${run.uid}.`);
    for (const row of rows) changes.moved({ state: from }, row, 'Plan');
    await endAttempts(changes, from, rows);
  }
};

/** Given up while nobody knows how it ended: one by one, since each counts an unconfirmed end. */
const giveUp = async (changes: Changes, run: RunRow, transition: PlannedTransition): Promise<void> => {
  const { tx, now } = changes;
  const task = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('id', '=', transition.task)
    .where('run_uid', '=', run.uid)
    .where('state', '=', transition.from)
    .executeTakeFirst();
  if (task === undefined)
    throw refuse(`Task ${transition.task} of run ${run.uid} is not ${transition.from} any more.`);
  const counted = await endAttempt(tx, task, { ending: 'Cancelled', how: 'Unconfirmed' }, now);
  await changes.move(task, { ...changeOf(transition, now), ...counted }, 'Plan');
};

const finishRun = async (tx: Tx, plan: Plan, now: Millis): Promise<void> => {
  if (plan.finish === undefined) return;
  const open = await tx.sql
    .selectFrom('tasks')
    .select('id')
    .where('run_uid', '=', plan.runUid)
    .where('state', 'not in', [...terminalStates])
    .limit(1)
    .executeTakeFirst();
  if (open !== undefined) throw refuse(`Run ${plan.runUid} cannot finish: task ${open.id} is not final.`);
  await tx.sql
    .updateTable('runs')
    .set({ ...plan.finish, finished_at: now })
    .where('uid', '=', plan.runUid)
    .execute();
};

const isGivenUp = ({ from }: PlannedTransition): boolean => from === 'Verifying' || from === 'AwaitingHuman';

export const applyPlan = async (
  tx: Tx,
  plan: Plan,
  now: Millis,
  term?: number,
): Promise<{ applied: boolean } & RunAndTasks> => {
  await guardNormal(tx, term);
  const run = await requireRun(tx, plan.runUid);
  if (run.revision !== plan.revision || run.state !== 'Running')
    return { applied: false, run: toRun(run), tasks: [] };
  const changes = new Changes(tx, now);
  if ((await changes.revise(run.uid)) !== plan.revision + 1)
    throw refuse(`Run ${run.uid} changed while the plan was applied.`);
  for (const group of alike(plan.transitions.filter((one) => !isGivenUp(one))))
    await applyAlike(changes, run, group);
  for (const transition of plan.transitions.filter(isGivenUp)) await giveUp(changes, run, transition);
  const tasks = await settle(changes);
  await finishRun(tx, plan, now);
  return { applied: true, run: toRun(await requireRun(tx, plan.runUid)), tasks };
};
