import type { Changed } from '../ledger.ts';
import { terminalStates, type Millis } from '../records.ts';
import type { Tx } from '../tables.ts';
import { Changes } from './changes.ts';
import { guardLeader } from './meta.ts';
import { requireRun } from './read-runs.ts';

/** The flag stops nothing by itself: the planner ends what waits, runners kill what runs. */
export const requestCancel = async (tx: Tx, runUid: string, now: Millis, term?: number): Promise<Changed> => {
  await guardLeader(tx, term);
  const run = await requireRun(tx, runUid);
  if (run.state !== 'Running' || run.cancel_requested === 1) return { tasks: [] };
  const changes = new Changes(tx, now);
  const revision = await changes.revise(runUid);
  await tx.sql.updateTable('runs').set({ cancel_requested: 1 }).where('uid', '=', runUid).execute();
  const rows = await tx.sql
    .updateTable('tasks')
    .set({ cancel_requested: 1, revision })
    .where('run_uid', '=', runUid)
    .where('cancel_requested', '=', 0)
    .where('state', 'not in', [...terminalStates])
    .returningAll()
    .execute();
  for (const row of rows) changes.told(row);
  return { tasks: changes.records() };
};
