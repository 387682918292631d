import type { Changed } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { Tx } from '../tables.ts';
import { Changes } from './changes.ts';
import { requireRun } from './read-runs.ts';

/** The flag stops nothing by itself: the planner cancels what waits, runners kill what runs. */
export const requestCancel = async (tx: Tx, runUid: string, _now: Millis): Promise<Changed> => {
  const run = await requireRun(tx, runUid);
  if (run.state !== 'Running') return { tasks: [] };
  await tx.sql
    .updateTable('runs')
    .set((eb) => ({ cancel_requested: 1, revision: eb('revision', '+', 1) }))
    .where('uid', '=', runUid)
    .where('cancel_requested', '=', 0)
    .execute();
  const rows = await tx.sql
    .updateTable('tasks')
    .set({ cancel_requested: 1 })
    .where('run_uid', '=', runUid)
    .where('cancel_requested', '=', 0)
    .where('state', 'in', ['Pending', 'Ready', 'Offered', 'Claimed', 'Running', 'Unknown'])
    .returningAll()
    .execute();
  const changes = new Changes();
  for (const row of rows) changes.touched(row);
  return { tasks: await changes.settle(tx) };
};
