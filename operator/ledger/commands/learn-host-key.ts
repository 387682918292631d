import type { Millis } from '../records.ts';
import type { Tx } from '../tables.ts';
import { insertAudit } from './audit.ts';

interface LearnHostKey {
  namespace: string;
  host: string;
  port: number;
  key: string;
  runnerName: string;
  now: Millis;
}

/** The first runner that sees a host decides for all of them; the audit trail names it. */
export const learnHostKey = async (
  tx: Tx,
  command: LearnHostKey,
): Promise<{ key: string; learned: boolean }> => {
  const { namespace, host, port, key, runnerName, now } = command;
  const inserted = await tx.sql
    .insertInto('host_keys')
    .values({ namespace, host, port, key, learned_at: now, runner_name: runnerName })
    .onConflict((conflict) => conflict.columns(['namespace', 'host', 'port']).doNothing())
    .returning('key')
    .executeTakeFirst();
  if (inserted !== undefined) {
    await insertAudit(tx, {
      at: now,
      actor: `runner/${runnerName}`,
      action: 'LearnHostKey',
      object: `Host/${namespace}/${host}:${port}`,
      details: { key },
    });
    return { key, learned: true };
  }
  const known = await tx.sql
    .selectFrom('host_keys')
    .select('key')
    .where('namespace', '=', namespace)
    .where('host', '=', host)
    .where('port', '=', port)
    .executeTakeFirstOrThrow();
  return { key: known.key, learned: false };
};
