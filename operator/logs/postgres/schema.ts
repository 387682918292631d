import type { Pool, PoolClient } from 'pg';
import { openMs } from '../contract.ts';

/** Chosen once for Outrider's log tables; who holds it may change them. */
export const schemaLock = 7_164_002;

/**
 * `day` is the UTC day of an attempt's first byte as a number (20261122): bytes and checkpoints of a day are a partition each,
 * so that a day goes by dropping two tables. `lines` and `open` are the assembler's state at `log_offset`.
 */
const tables = `
CREATE TABLE IF NOT EXISTS log_attempts (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  day INTEGER NOT NULL,
  log_offset BIGINT NOT NULL DEFAULT 0,
  lines INTEGER NOT NULL DEFAULT 0,
  open TEXT NOT NULL DEFAULT '[]',
  ending TEXT NOT NULL DEFAULT 'Open' CHECK (ending IN ('Open', 'Complete', 'Incomplete')),
  expected_length BIGINT,
  expected_sha256 TEXT,
  ended_at DOUBLE PRECISION,
  UNIQUE (task, epoch),
  CHECK ((ending = 'Open') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS log_attempts_day ON log_attempts (day);
CREATE INDEX IF NOT EXISTS log_attempts_open ON log_attempts (id) WHERE ending = 'Open';
CREATE TABLE IF NOT EXISTS log_chunks (
  day INTEGER NOT NULL,
  attempt BIGINT NOT NULL,
  start BIGINT NOT NULL,
  bytes BYTEA NOT NULL,
  PRIMARY KEY (day, attempt, start)
) PARTITION BY LIST (day);
CREATE TABLE IF NOT EXISTS log_checkpoints (
  day INTEGER NOT NULL,
  attempt BIGINT NOT NULL,
  next_line INTEGER NOT NULL,
  start BIGINT NOT NULL,
  open TEXT NOT NULL,
  PRIMARY KEY (day, attempt, next_line, start)
) PARTITION BY LIST (day);
`;

/** One transaction; rolled back when `work` throws. The connection is dropped when even that fails. */
export const transaction = async <T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> => {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    client.release();
    return result;
  } catch (error) {
    const broken = await client.query('ROLLBACK').then(
      () => false,
      () => true,
    );
    client.release(broken);
    throw error;
  }
};

/** Replicas that start together make the tables once. */
const locked = (pool: Pool, sql: string): Promise<void> =>
  transaction(pool, async (client) => {
    await client.query('SELECT pg_advisory_xact_lock($1)', [schemaLock]);
    await client.query(sql);
  });

export const createTables = (pool: Pool): Promise<void> => locked(pool, tables);

/** Partitions of a day; there already is no error. */
export const createDay = (pool: Pool, day: number): Promise<void> =>
  locked(
    pool,
    `CREATE TABLE IF NOT EXISTS log_chunks_${day} PARTITION OF log_chunks FOR VALUES IN (${day});
     CREATE TABLE IF NOT EXISTS log_checkpoints_${day} PARTITION OF log_checkpoints FOR VALUES IN (${day});`,
  );

export const dayOf = (now: number): number =>
  Number(new Date(now).toISOString().slice(0, 10).replaceAll('-', ''));

/** Removes the day's bytes, unless an attempt in it keeps them. */
const dropDay = (pool: Pool, day: number, before: number): Promise<void> =>
  transaction(pool, async (client) => {
    await client.query('SELECT pg_advisory_xact_lock($1)', [schemaLock]);
    // Locks every attempt of the day: whoever appends to one comes before or finds it gone.
    const { rows } = await client.query<{ ended_at: number | null }>(
      'SELECT ended_at FROM log_attempts WHERE day = $1 ORDER BY task, epoch FOR UPDATE',
      [day],
    );
    if (rows.some(({ ended_at: at }) => (at === null ? day >= dayOf(before - openMs) : at >= before))) return;
    await client.query(
      `DROP TABLE IF EXISTS log_chunks_${day}; DROP TABLE IF EXISTS log_checkpoints_${day};`,
    );
    await client.query('DELETE FROM log_attempts WHERE day = $1', [day]);
  });

/** As `LogStore.prune` says. */
export const dropDays = async (pool: Pool, before: number): Promise<void> => {
  const { rows } = await pool.query<{ day: number }>(
    `SELECT day FROM log_attempts GROUP BY day
     HAVING bool_and(CASE WHEN ended_at IS NULL THEN day < $2 ELSE ended_at < $1 END) ORDER BY day`,
    [before, dayOf(before - openMs)],
  );
  for (const { day } of rows) await dropDay(pool, day, before);
};
