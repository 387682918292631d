import { Client, type Notification, type Pool } from 'pg';
import { randomUUID } from 'node:crypto';
import { attemptKey, type AttemptRef } from '@outrider/protocol';
import { pause } from '../../kube/back-off.ts';

const channel = 'outrider_logs';
/** PostgreSQL takes less than 8000 bytes. */
const maxPayload = 7900;
/** Commits of so long are told in one message: a message takes a lock that all databases of the server share. */
const gatherMs = 50;
const sweepMs = 1000;
const reconnectMs = 1000;

export interface TailOptions {
  readonly url: string;
  readonly pool: Pool;
  /** Attempts that grew or ended at another replica. */
  readonly onChange: (refs: readonly AttemptRef[]) => void;
  /** Somebody wants to be told. */
  readonly isHeard: () => boolean;
}

export interface Tail {
  /** Tells the other replicas, soon. */
  tell(refs: readonly AttemptRef[]): void;
  stop(): Promise<void>;
}

const parseKey = (key: string): AttemptRef => {
  const slash = key.lastIndexOf('/');
  return { task: key.slice(0, slash), epoch: Number(key.slice(slash + 1)) };
};

/** Keys in as few messages as fit, each with who sends it. */
const messagesOf = (origin: string, keys: Iterable<string>): string[] => {
  const messages: string[] = [];
  let message = origin;
  for (const key of keys) {
    if (message.length + key.length + 1 > maxPayload) {
      messages.push(message);
      message = origin;
    }
    message += ` ${key}`;
  }
  return message === origin ? messages : [...messages, message];
};

/**
 * Follows the logs that other replicas write: by NOTIFY, after their commit and apart from it, and by comparing the offsets of
 * open logs every second, for messages that were lost with a connection.
 */
export const startTail = (options: TailOptions): Tail => {
  const origin = randomUUID();
  const untold = new Set<string>();
  const offsets = new Map<string, string>();
  let client: Client | undefined;
  let telling: NodeJS.Timeout | undefined;
  const stopping = new AbortController();
  const stopped = new Promise<void>((resolve) =>
    stopping.signal.addEventListener('abort', () => resolve(), { once: true }),
  );
  let sweeping = false;

  const hear = ({ payload = '' }: Notification): void => {
    const [from, ...keys] = payload.split(' ');
    if (from !== origin) options.onChange(keys.map(parseKey));
  };

  /** Resolves when the connection has ended, or could not be made. */
  const listenOnce = async (): Promise<void> => {
    const next = new Client({ connectionString: options.url, application_name: 'outrider-log-tail' });
    const ended = new Promise<void>((resolve) => next.once('end', resolve));
    next.on('notification', hear);
    next.on('error', () => undefined);
    try {
      await next.connect();
      // A message that is lost in a crash is made up for by the sweep: its commit need not wait for the disk.
      await next.query(`SET synchronous_commit = off; LISTEN ${channel}`);
      client = next;
      if (!stopping.signal.aborted) await Promise.race([ended, stopped]);
    } catch {
      // The server is away; the sweep goes on as soon as it is back, and so does this.
    } finally {
      client = undefined;
      await next.end().catch(() => undefined);
    }
  };

  const listen = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await listenOnce();
      await pause(reconnectMs, stopping.signal);
    }
  };

  const flush = async (): Promise<void> => {
    telling = undefined;
    const messages = messagesOf(origin, untold);
    untold.clear();
    for (const message of messages)
      await client?.query('SELECT pg_notify($1, $2)', [channel, message]).catch(() => undefined);
  };

  const sweep = async (): Promise<void> => {
    if (sweeping || !options.isHeard()) return;
    sweeping = true;
    try {
      const changed = await changedSince(options.pool, offsets);
      if (changed.length > 0) options.onChange(changed);
    } catch {
      // The next one, a second later, sees the same change.
    } finally {
      sweeping = false;
    }
  };

  const timer = setInterval(() => void sweep(), sweepMs);
  const listening = listen();
  return {
    tell: (refs) => {
      for (const ref of refs) untold.add(attemptKey(ref));
      telling ??= setTimeout(() => void flush(), gatherMs);
    },
    stop: async () => {
      clearInterval(timer);
      clearTimeout(telling);
      stopping.abort();
      await listening;
    },
  };
};

/** Open logs whose offset is another than in `offsets`, and those that are no longer open; brings `offsets` up to date. */
const changedSince = async (pool: Pool, offsets: Map<string, string>): Promise<AttemptRef[]> => {
  const { rows } = await pool.query<{ task: string; epoch: number; log_offset: string }>(
    "SELECT task, epoch, log_offset FROM log_attempts WHERE ending = 'Open'",
  );
  const open = new Map(rows.map((row) => [attemptKey(row), row.log_offset]));
  const changed = [...open].filter(([key, offset]) => offsets.get(key) !== offset).map(([key]) => key);
  const ended = [...offsets.keys()].filter((key) => !open.has(key));
  offsets.clear();
  for (const [key, offset] of open) offsets.set(key, offset);
  return [...changed, ...ended].map(parseKey);
};
