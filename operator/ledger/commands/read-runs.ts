import { OutriderError } from '@outrider/protocol';
import { prepared } from '../prepared.ts';
import type { Millis, RunAndTasks, RunRecord, TaskRecord } from '../records.ts';
import { toRun, toTask } from '../rows.ts';
import type { RunRow, TaskRow, Tx } from '../tables.ts';
import { findTask } from './changes.ts';

const runByUid = prepared<{ uid: string }, RunRow>((db, at) =>
  db.selectFrom('runs').selectAll().where('uid', '=', at('uid')).where('pruned', '=', 0),
);

const tasksOfRun = prepared<{ uid: string }, TaskRow>((db, at) =>
  db
    .selectFrom('tasks')
    .selectAll()
    .where('run_uid', '=', at('uid'))
    .orderBy('step_index')
    .orderBy('target')
    .orderBy('id'),
);

const changedTasks = prepared<{ uid: string; revision: number }, TaskRow>((db, at) =>
  db
    .selectFrom('tasks')
    .selectAll()
    .where('run_uid', '=', at('uid'))
    .where('revision', '>', at('revision'))
    .orderBy('step_index')
    .orderBy('target')
    .orderBy('id'),
);

/** Tasks in the order of their steps, then by target. */
export const withTasks = async (tx: Tx, row: RunRow): Promise<RunAndTasks> => {
  const tasks = await tasksOfRun(tx, { uid: row.uid });
  return { run: toRun(row), tasks: tasks.map(toTask) };
};

/** @throws OutriderError NotFound */
export const requireRun = async (tx: Tx, uid: string): Promise<RunRow> => {
  const [row] = await runByUid(tx, { uid });
  if (row !== undefined) return row;
  throw new OutriderError({
    code: 'NotFound',
    message: `The ledger has no run ${uid}.`,
    action: 'Create the run first; a finished run is gone after its retention.',
  });
};

export const readRun = async (tx: Tx, uid: string): Promise<RunAndTasks | undefined> => {
  const [row] = await runByUid(tx, { uid });
  return row === undefined ? undefined : withTasks(tx, row);
};

export const changedSince = async (
  tx: Tx,
  query: { uid: string; revision: number },
): Promise<RunAndTasks | undefined> => {
  const [row] = await runByUid(tx, { uid: query.uid });
  if (row === undefined) return undefined;
  if (row.revision === query.revision) return { run: toRun(row), tasks: [] };
  const tasks = await changedTasks(tx, query);
  return { run: toRun(row), tasks: tasks.map(toTask) };
};

export const readTask = async (tx: Tx, id: string): Promise<TaskRecord | undefined> => {
  const row = await findTask(tx, id);
  return row === undefined ? undefined : toTask(row);
};

export const openRuns = async (tx: Tx): Promise<readonly RunAndTasks[]> => {
  const rows = await tx.sql
    .selectFrom('runs')
    .selectAll()
    .where('state', '=', 'Running')
    .orderBy('created_at')
    .execute();
  const runs: RunAndTasks[] = [];
  for (const row of rows) runs.push(await withTasks(tx, row));
  return runs;
};

interface RunQuery {
  namespace?: string;
  workflow?: string;
  limit: number;
  before?: Millis;
}

export const listRuns = async (tx: Tx, query: RunQuery): Promise<readonly RunRecord[]> => {
  let select = tx.sql.selectFrom('runs').selectAll().where('pruned', '=', 0);
  if (query.namespace !== undefined) select = select.where('namespace', '=', query.namespace);
  if (query.workflow !== undefined) select = select.where('workflow_name', '=', query.workflow);
  if (query.before !== undefined) select = select.where('created_at', '<', query.before);
  const rows = await select.orderBy('created_at', 'desc').orderBy('uid').limit(query.limit).execute();
  return rows.map(toRun);
};
