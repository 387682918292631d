import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Connection, type SessionOptions } from './connection.ts';
import { isAway } from './failures.ts';
import { formatOrigin } from './origin.ts';
import type { PostgresSettings } from './settings.ts';

const firstPauseMs = 20;
const maxPauseMs = 1000;

/** Longer with each failure in a row, and never the same for all replicas. */
export const backOffMs = (failures: number): number =>
  Math.min(maxPauseMs, firstPauseMs * 2 ** failures) * (0.5 + Math.random());

/** What all sessions of one ledger share. */
export interface Sessions {
  readonly settings: PostgresSettings;
  readonly what: string;
  /** System and timeline at which the ledger was opened. */
  origin: string | undefined;
  /** Called when a new session finds another origin: the server is not the one any more that has been written to. */
  onOtherOrigin(found: string): void;
  /** True once nothing more is to be connected. */
  closing: boolean;
}

/** One try. @throws what the server or the driver said */
export const openSession = async (sessions: Sessions, options: SessionOptions): Promise<Connection> => {
  const connection = await connect(sessions.settings, sessions.what, options);
  const found = formatOrigin(connection.origin);
  sessions.origin ??= found;
  if (sessions.origin === found) return connection;
  connection.abandon();
  sessions.onOtherOrigin(found);
  throw new Error(`the server's history is ${found} and was ${sessions.origin}`);
};

/** A session that is made again whenever it was lost. */
export interface Reconnecting {
  /** Tries until there is one, telling each failure; undefined once the ledger closes, or nobody needs it any more. */
  get(onFailure: (error: unknown) => void, isNeeded?: () => boolean): Promise<Connection | undefined>;
  close(): Promise<void>;
}

export const reconnecting = (sessions: Sessions, options: SessionOptions): Reconnecting => {
  let current: Promise<Connection> | undefined;
  let opened: Connection | undefined;

  const open = (): Promise<Connection> => {
    if (opened !== undefined && !opened.lost) return Promise.resolve(opened);
    opened = undefined;
    // Callers that ask at the same time share one attempt.
    current ??= openSession(sessions, options)
      .then((connection) => {
        opened = connection;
        return connection;
      })
      .finally(() => {
        current = undefined;
      });
    return current;
  };

  return {
    get: async (onFailure, isNeeded = () => true) => {
      for (let failures = 0; !sessions.closing && isNeeded(); failures += 1) {
        try {
          return await open();
        } catch (error) {
          onFailure(error);
          await sleep(backOffMs(failures));
        }
      }
      return undefined;
    },
    close: async () => {
      const last = opened ?? (await current?.catch(() => undefined));
      await last?.close();
    },
  };
};

/** @throws what the server said, once it does not look as if it went away by itself, or the time is over */
export const openSoon = async (sessions: Sessions, options: SessionOptions): Promise<Connection> => {
  const end = performance.now() + sessions.settings.patienceMs;
  for (let failures = 0; ; failures += 1) {
    try {
      return await openSession(sessions, options);
    } catch (error) {
      if (!isAway(error) || performance.now() >= end) throw error;
      await sleep(backOffMs(failures));
    }
  }
};
