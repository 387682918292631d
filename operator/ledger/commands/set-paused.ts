import type { Changed } from '../ledger.ts';
import type { Millis } from '../records.ts';
import { pausedWhy } from '../reasons.ts';
import type { Tx } from '../tables.ts';
import { Changes } from './changes.ts';
import { guardLeader } from './meta.ts';
import { queued } from './policies.ts';
import { settle } from './probes.ts';
import { requireRun } from './read-runs.ts';
import { toBlocked } from './transitions.ts';

interface SetPaused {
  runUid: string;
  paused: boolean;
  now: Millis;
  term?: number;
}

/** Probes go on: they find out about what has run already. */
export const setPaused = async (tx: Tx, command: SetPaused): Promise<Changed> => {
  const { runUid, paused, now } = command;
  await guardLeader(tx, command.term);
  const run = await requireRun(tx, runUid);
  if (run.state !== 'Running' || (run.paused === 1) === paused) return { tasks: [] };
  const changes = new Changes(tx, now);
  await changes.revise(runUid);
  await tx.sql
    .updateTable('runs')
    .set({ paused: paused ? 1 : 0 })
    .where('uid', '=', runUid)
    .execute();
  const rows = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('run_uid', '=', runUid)
    .where('state', '=', paused ? 'Ready' : 'Blocked')
    .where('probe_of', 'is', null)
    .orderBy('id')
    .execute();
  for (const row of rows) {
    const change = paused
      ? toBlocked(now, pausedWhy)
      : {
          ...queued(row, Math.max(now, row.not_before ?? 0)),
          not_before: row.not_before,
          reason: null,
          message: null,
        };
    await changes.move(row, change, 'Pause');
  }
  return { tasks: await settle(changes) };
};
