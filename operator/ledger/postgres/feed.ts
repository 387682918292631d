import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger } from '../ledger.ts';
import type { TaskRecord } from '../records.ts';
import { toTask } from '../rows.ts';
import { inChunks, type TaskRow } from '../tables.ts';
import type { Connection } from './connection.ts';
import { channel, parsePayload } from './notifier.ts';
import type { OwnChanges } from './own-changes.ts';
import { reconnecting, type Sessions } from './session.ts';

/**
 * Every change of a task carries the number of its transaction. Numbers are given out in order and transactions end in any
 * order, so a look for "more than the last number seen" would miss some. `xmin`, read in the same snapshot, is the lowest
 * number that may still be under way: whatever is below has been visible to this look, so the next one begins there.
 */
const sweepSql = `
SELECT s.xmin, (SELECT value FROM meta WHERE key = 'generation') AS generation, t.id, t.changed
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin) s
LEFT JOIN tasks t ON t.changed >= $1`;

interface Swept {
  readonly xmin: number;
  readonly generation: string;
  readonly id: string | null;
  readonly changed: number;
}
type Row = TaskRow & { readonly changed: number };

/**
 * After a crash the server may give numbers once more that it had given to transactions without a trace. A new session looks
 * that far back.
 */
const reusedNumbers = 10_000;

export interface Feed {
  /** Tasks that other replicas changed, as they are now. Listeners must not throw. Returns the unsubscribe function. */
  readonly onChange: Ledger['onChange'];
  /** The session that listens, for what may go along with it. */
  readonly session: () => Connection | undefined;
  readonly ended: Promise<void>;
  /** Ends the waiting between two looks. */
  stop(): void;
}

export interface FeedOptions {
  readonly sessions: Sessions;
  readonly own: OwnChanges;
  /** What a look finds besides. */
  readonly onGeneration: (generation: string) => void;
}

/** Listens to the other replicas and, since a notification may be lost, looks for itself every second. */
export const startFeed = async (options: FeedOptions): Promise<Feed> => {
  const { sessions, own, onGeneration } = options;
  const { replica, sweepMs } = sessions.settings;
  const listeners = new Set<(tasks: readonly TaskRecord[]) => void>();
  const session = reconnecting(sessions, { purpose: 'listener' });
  /** By id, the change of it that was told last; those below the cursor are not met again. */
  const told = new Map<string, number>();
  const named = new Set<string>();
  let current: Connection | undefined;
  let cursor: number | undefined;
  /** By performance.now(). */
  let sweepAt = 0;
  let wake: () => void = () => undefined;

  const listen = async (connection: Connection): Promise<void> => {
    connection.onNotification((payload) => {
      const { replica: sender, tasks } = parsePayload(payload);
      if (sender === replica) return;
      if (tasks === undefined) sweepAt = 0;
      for (const id of tasks ?? []) named.add(id);
      wake();
    });
    connection.onLost(() => wake());
    await connection.query(`LISTEN ${channel}`);
    if (cursor !== undefined) cursor = Math.max(0, cursor - reusedNumbers);
    current = connection;
    sweepAt = 0;
  };

  /** Ids of what others changed since the last look. The first look only finds out where to begin. */
  const sweep = async (connection: Connection): Promise<void> => {
    const rows = await connection.query<Swept>(sweepSql, [cursor ?? Number.MAX_SAFE_INTEGER]);
    for (const { id, changed } of rows)
      if (id !== null && !own.isOwn(changed) && told.get(id) !== changed) named.add(id);
    const [first] = rows;
    if (first === undefined) return;
    cursor = first.xmin;
    onGeneration(first.generation);
    for (const [id, changed] of told) if (changed < cursor) told.delete(id);
  };

  /** Reads what was named, and tells what is news. What this replica is committing just now is read again. */
  const tell = async (connection: Connection): Promise<boolean> => {
    const moment = own.now();
    const ids = [...named];
    named.clear();
    const news: TaskRecord[] = [];
    for (const chunk of inChunks(ids)) {
      const rows = await connection.query<Row>('SELECT * FROM tasks WHERE id = ANY($1)', [chunk]);
      for (const row of rows) {
        if (own.isCommitting(row.id)) named.add(row.id);
        else if (!own.isOwn(row.changed) && !own.wasAnsweredSince(row.id, moment)) {
          told.set(row.id, row.changed);
          news.push(toTask(row));
        }
      }
    }
    if (news.length > 0) for (const listener of listeners) listener(news);
    own.forget(cursor ?? 0, moment);
    return named.size > 0;
  };

  const look = async (connection: Connection): Promise<void> => {
    if (performance.now() >= sweepAt) {
      await sweep(connection);
      sweepAt = performance.now() + sweepMs;
    }
    // A commit of this replica ends within milliseconds.
    while (named.size > 0 && (await tell(connection))) await sleep(10);
  };

  const pause = async (): Promise<void> => {
    const left = sweepAt - performance.now();
    if (named.size > 0 || left <= 0) return;
    const timer = setTimeout(() => wake(), left);
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
    clearTimeout(timer);
  };

  const step = async (): Promise<boolean> => {
    const connection = await session.get(() => undefined);
    if (connection === undefined) return false;
    try {
      if (connection !== current) await listen(connection);
      await look(connection);
    } catch {
      connection.abandon();
    }
    return true;
  };

  const run = async (): Promise<void> => {
    while (!sessions.closing && (await step())) if (!sessions.closing) await pause();
    await session.close();
  };

  await step();
  return {
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    session: () => (current?.lost === true ? undefined : current),
    ended: run(),
    stop: () => wake(),
  };
};
