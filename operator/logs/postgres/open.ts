import { Pool } from 'pg';
import type { AttemptRef } from '@outrider/protocol';
import type { LogStore } from '../contract.ts';
import { logStoreFailure } from './failures.ts';
import { readLines, readRaw, readState } from './reader.ts';
import { createTables, dropDays } from './schema.ts';
import { startTail } from './tail.ts';
import { LogWriter, type Write } from './writer.ts';

/** One for the writing lane, the others for readers. The ledger has connections of its own, so that logs block no claim. */
const connections = 4;
const connectMs = 10_000;
/** Longest statement: the bytes of a group, or the first page of a long log. */
const statementMs = 60_000;

/**
 * Opens the log store in a PostgreSQL database (its tables are made where they are missing). Any number of replicas may have
 * it open: what one commits, the listeners of all hear.
 * @param options.url `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, with the options of libpq.
 * @param options.now Milliseconds since the Unix epoch. Default: the system's clock.
 * @throws OutriderError Unavailable when the server cannot be reached.
 */
export const openPostgresLogStore = async (options: {
  url: string;
  now?: () => number;
}): Promise<LogStore> => {
  const { url, now = Date.now } = options;
  const pool = new Pool({
    connectionString: url,
    max: connections,
    application_name: 'outrider-logs',
    connectionTimeoutMillis: connectMs,
    statement_timeout: statementMs,
  });
  // A connection that dies at rest, or between two statements, is replaced by the next one that is needed.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  try {
    await createTables(pool);
  } catch (error) {
    await pool.end();
    throw logStoreFailure(error);
  }

  const listeners = new Set<(refs: readonly AttemptRef[]) => void>();
  const publish = (refs: readonly AttemptRef[]): void => {
    for (const listener of listeners) listener(refs);
  };
  const tail = startTail({ url, pool, onChange: publish, isHeard: () => listeners.size > 0 });
  const writer = new LogWriter({
    pool,
    now,
    onCommit: (refs) => {
      publish(refs);
      tail.tell(refs);
    },
  });
  const writeOne = async (write: Write) => {
    const [written] = await writer.write([write]);
    if (written === undefined) throw new Error('the log store answered none of its writes');
    return written;
  };

  return {
    append: async (chunks) =>
      chunks.length === 0
        ? []
        : (await writer.write(chunks.map((chunk) => ({ kind: 'append', chunk })))).map(
            ({ answer }) => answer,
          ),
    seal: async (ref, expected) => (await writeOne({ kind: 'seal', ref, expected })).state,
    abandon: async (ref) => {
      await writeOne({ kind: 'abandon', ref });
    },
    state: (ref) => readState(pool, ref),
    lines: (ref, query) => readLines(pool, ref, query),
    raw: (ref, { stream } = {}) => readRaw(pool, ref, stream),
    onCommit: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    prune: async (before) => {
      await writer.idle();
      writer.forget();
      await dropDays(pool, before).catch((error: unknown) => {
        throw logStoreFailure(error);
      });
    },
    close: async () => {
      await writer.idle();
      await tail.stop();
      await pool.end();
    },
  };
};
