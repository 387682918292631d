import type { Millis } from '../records.ts';
import type { Tx } from '../tables.ts';
import { guardLeader } from './meta.ts';

const day = 86_400_000;

/** How long a finished run is remembered at least, so that the same resource made again does not run again. */
export const tombstoneMs = 30 * day;
/** An expired registration token is told apart from an unknown one for this long. */
const tokenMs = 7 * day;
/** A superseded session id is refused as such for this long, and as unknown afterwards. */
const sessionMs = 30 * day;

/** Runs finished before `runsOlderThan` lose their tasks; their tombstones go when they are 30 days old as well. */
export const prune = async (
  tx: Tx,
  command: { now: Millis; runsOlderThan: Millis; term?: number },
): Promise<{ runs: number }> => {
  const { now, runsOlderThan } = command;
  await guardLeader(tx, command.term);
  const emptied = await tx.sql
    .updateTable('runs')
    .set({ pruned: 1 })
    .where('state', '<>', 'Running')
    .where('pruned', '=', 0)
    .where('finished_at', '<', runsOlderThan)
    .returning('uid')
    .execute();
  for (const { uid } of emptied) await tx.sql.deleteFrom('tasks').where('run_uid', '=', uid).execute();
  await tx.sql
    .deleteFrom('runs')
    .where('pruned', '=', 1)
    .where('finished_at', '<', now - tombstoneMs)
    .execute();
  await tx.sql
    .deleteFrom('registration_tokens')
    .where('expires_at', '<', now - tokenMs)
    .execute();
  await tx.sql
    .deleteFrom('sessions')
    .where('superseded_at', '<', now - sessionMs)
    .execute();
  await tx.sql
    .deleteFrom('decisions')
    .where('at', '<', now - tombstoneMs)
    .execute();
  await tx.sql
    .deleteFrom('runner_contacts')
    .where('at', '<', now - sessionMs)
    .execute();
  return { runs: emptied.length };
};
