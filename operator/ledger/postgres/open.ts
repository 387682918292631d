import { randomBytes } from 'node:crypto';
import { OutriderError } from '@outrider/protocol';
import type { Ledger } from '../ledger.ts';
import type { Connection } from './connection.ts';
import { closedError, explainFailure, isConflict } from './failures.ts';
import { startFeed } from './feed.ts';
import { lockSetOf } from './lock-sets.ts';
import { migrate } from './migrations.ts';
import { createNotifier } from './notifier.ts';
import { formatOrigin } from './origin.ts';
import { OwnChanges } from './own-changes.ts';
import { createQueue } from './queue.ts';
import { createReader } from './reader.ts';
import { openSoon, type Sessions } from './session.ts';
import { nameOf, withDefaults, type PostgresOptions } from './settings.ts';
import { startWriter, type Timings } from './writer.ts';
import { ledgerMethods } from './methods.ts';

/** Sessions that ended so long ago have nothing more to ask about their last transaction. */
const forgetCommitsSql = "DELETE FROM commits WHERE at < now() - interval '7 days'";

interface Found {
  readonly generation: string;
  /** Why the data are not what was last written through this product, or undefined. */
  readonly restored: string | undefined;
}

/** Made with the schema, once, whichever replica is first. */
const readMeta = async (connection: Connection, what: string): Promise<Found> => {
  const insert = 'INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT DO NOTHING';
  const found = formatOrigin(connection.origin);
  await connection.query(insert, ['generation', randomBytes(16).toString('hex')]);
  await connection.query(insert, ['origin', found]);
  await connection.query(forgetCommitsSql);
  const rows = await connection.query<{ key: string; value: string }>(
    "SELECT key, value FROM meta WHERE key IN ('generation', 'origin')",
  );
  const meta = new Map(rows.map(({ key, value }) => [key, value]));
  const origin = meta.get('origin') ?? found;
  return {
    generation: meta.get('generation') ?? '',
    restored:
      origin === found
        ? undefined
        : `The ${what} was written last as ${origin} (system and timeline) and is ${found} now: it was restored from a backup, or a standby was promoted.`,
  };
};

const restoredError = (what: string, origin: string | undefined, found: string): OutriderError =>
  new OutriderError({
    code: 'Unavailable',
    message: `The ${what} was ${origin} (system and timeline) and is ${found} now: it was restored from a backup, or a standby was promoted.`,
    action: 'The operator has to start again, and begins with recovery: look at `outrider recovery` then.',
  });

/** Replicas of the version before go on meanwhile; where a change of a table and their work are in each other's way, again. */
const prepareSchema = async (sessions: Sessions): Promise<Found> => {
  const end = performance.now() + sessions.settings.patienceMs;
  for (;;) {
    const connection = await openSoon(sessions, { purpose: 'schema', unlimited: true });
    try {
      await migrate(connection, sessions.what);
      return await readMeta(connection, sessions.what);
    } catch (error) {
      if (!isConflict(error) || performance.now() >= end) throw error;
    } finally {
      await connection.close();
    }
  }
};

/**
 * Opens (or makes) the ledger in a PostgreSQL database, which several operators may share. Every method resolves after its
 * commit is durable at the server. While the server is away, calls wait for up to `patienceMs` and are then answered
 * Unavailable; the ledger goes on by itself when it is back.
 * @throws OutriderError Unavailable when the server cannot be reached in time, does not let the operator in, is a standby, or
 * has a schema more than one version newer than this operator's.
 */
export const openPostgresLedger = async (options: PostgresOptions): Promise<Ledger> => {
  const settings = withDefaults(options);
  const what = nameOf('ledger', settings.url);
  let closed: OutriderError | undefined;
  const sessions: Sessions = {
    settings,
    what,
    origin: undefined,
    closing: false,
    onOtherOrigin: (found) => {
      closed ??= restoredError(what, sessions.origin, found);
      queue.drop(closed);
      for (const listener of restoredListeners) listener(closed);
    },
  };
  const restoredListeners = new Set<(error: OutriderError) => void>();
  const queue = createQueue(settings, what);
  const found = await prepareSchema(sessions).catch((error: unknown) => {
    queue.drop(closedError(what));
    throw new OutriderError(explainFailure(what, error), { cause: error });
  });

  let { generation } = found;
  const own = new OwnChanges();
  const feed = await startFeed({
    sessions,
    own,
    onGeneration: (current) => {
      generation = current;
    },
  });
  const notifier = createNotifier(settings.replica, feed.session);
  const timings: Timings = { commits: 0, commitMs: [] };
  const writers = Array.from({ length: settings.writers }, (_, number) =>
    startWriter({ sessions, queue, own, timings, onCommit: notifier.tell }, number),
  );
  const reader = createReader(sessions);

  const write = (name: string, args: readonly unknown[]): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (closed !== undefined) {
        reject(closed);
        return;
      }
      const deadline = performance.now() + settings.patienceMs;
      queue.push({ name, args, locks: lockSetOf(name, args), deadline, resolve, reject });
    });
  const read = (name: string, args: readonly unknown[]): Promise<unknown> =>
    closed === undefined ? reader.read(name, args) : Promise.reject(closed);

  const close = async (): Promise<void> => {
    closed ??= closedError(what);
    queue.close();
    await Promise.all(writers.map(({ ended }) => ended));
    queue.drop(closed);
    sessions.closing = true;
    feed.stop();
    await Promise.all([feed.ended, reader.close()]);
  };
  let closing: Promise<void> | undefined;

  const methods = ledgerMethods(read, write);
  return {
    ...methods,
    get generation() {
      return generation;
    },
    restored: found.restored,
    onRestored: (listener) => {
      restoredListeners.add(listener);
      return () => restoredListeners.delete(listener);
    },
    onChange: feed.onChange,
    enterRecovery: async (command) => {
      const changed = await methods.enterRecovery(command);
      ({ generation } = await methods.readMeta());
      return changed;
    },
    diagnostics: async () => ({
      journalMode: 'postgresql',
      synchronous: await readSynchronous(),
      commits: timings.commits,
      commitMs: [...timings.commitMs],
    }),
    close: () => (closing ??= close()),
  };

  async function readSynchronous(): Promise<string> {
    const [row] =
      (await feed
        .session()
        ?.query<{ name: string }>(
          "SELECT current_setting('synchronous_commit') || CASE current_setting('fsync') WHEN 'on' THEN '' ELSE ', fsync off' END AS name",
        )) ?? [];
    return row?.name ?? 'unknown';
  }
};
