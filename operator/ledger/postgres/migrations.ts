import { OutriderError } from '@outrider/protocol';
import type { Connection } from './connection.ts';
import { initial } from './migration-0001-initial.ts';
import type { Migration } from './migration.ts';

/**
 * In order of version, without gaps, and never edited after a release. A version only adds (expand); what it makes obsolete
 * goes with the version after (contract), so that the release before still runs on the new schema: replicas of both are at
 * work while an upgrade rolls over them.
 */
export const migrations: readonly Migration[] = [initial];

const newest = (known: readonly Migration[]): number => known.at(-1)?.version ?? 0;

const currentVersion = async (connection: Connection): Promise<number> => {
  await connection.query(
    'CREATE TABLE IF NOT EXISTS migrations (version integer PRIMARY KEY, name text NOT NULL, applied_at double precision NOT NULL)',
  );
  const [row] = await connection.query<{ version: number }>(
    'SELECT coalesce(max(version), 0) AS version FROM migrations',
  );
  return row?.version ?? 0;
};

const tooNew = (what: string, current: number, known: number): OutriderError =>
  new OutriderError({
    code: 'Unavailable',
    message: `The ${what} has schema version ${current}; this operator knows version ${known} and can serve one version more at most.`,
    action:
      'Start an operator of the version that wrote the ledger, or one release older, or restore a backup made before that upgrade.',
  });

/** Replicas that start together: one migrates, the others wait for it here. */
const lockSql = "SELECT pg_advisory_xact_lock(hashtextextended('outrider-ledger-migrations', 0))";

/**
 * Brings the schema up to date in one transaction. A schema one version ahead is served (expand, then contract).
 * @throws OutriderError Unavailable when the schema is further ahead than that.
 */
export const migrate = async (
  connection: Connection,
  what: string,
  known: readonly Migration[] = migrations,
): Promise<void> => {
  await connection.query('BEGIN');
  try {
    await connection.query(lockSql);
    const current = await currentVersion(connection);
    if (current > newest(known) + 1) throw tooNew(what, current, newest(known));
    for (const { version, name, sql } of known.filter((migration) => migration.version > current)) {
      await connection.query(sql);
      await connection.query('INSERT INTO migrations (version, name, applied_at) VALUES ($1, $2, $3)', [
        version,
        name,
        Date.now(),
      ]);
    }
    await connection.commit();
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
};
