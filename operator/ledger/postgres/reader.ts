import { OutriderError } from '@outrider/protocol';
import { runCommand } from '../commands/index.ts';
import type { Tx } from '../tables.ts';
import type { Connection } from './connection.ts';
import { closedError, explainFailure, isAway, isConflict } from './failures.ts';
import { snapshotReads } from './lock-sets.ts';
import { reconnecting, type Reconnecting, type Sessions } from './session.ts';

export interface Reader {
  read(name: string, args: readonly unknown[]): Promise<unknown>;
  close(): Promise<void>;
}

/** Reading takes no lock. */
const lock: Tx['lock'] = () => Promise.resolve();

const run = ({ sql }: Connection, name: string, args: readonly unknown[]): Promise<unknown> =>
  runCommand({ sql, lock }, name, args);

/** All statements see the same, whatever is committed between them. */
const inSnapshot = async (
  connection: Connection,
  name: string,
  args: readonly unknown[],
): Promise<unknown> => {
  await connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
  try {
    const value = await run(connection, name, args);
    await connection.query('COMMIT');
    return value;
  } catch (error) {
    await connection.query('ROLLBACK').catch(() => connection.abandon());
    throw error;
  }
};

/** One after the other: a transaction has its session for itself. */
const inTurn = () => {
  let last: Promise<unknown> = Promise.resolve();
  return <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work, work);
    last = mine.catch(() => undefined);
    return mine;
  };
};

/**
 * Reads of one statement share a session, pipelined; those of several take turns on others. What is lost on the way is read
 * again, for as long as a call may wait.
 */
export const createReader = (sessions: Sessions): Reader => {
  const { readers, patienceMs } = sessions.settings;
  const single = reconnecting(sessions, { purpose: 'reader-0' });
  const turns = Array.from({ length: Math.max(1, readers - 1) }, (_, index) => ({
    session: reconnecting(sessions, { purpose: `reader-${index + 1}` }),
    turn: inTurn(),
    waiting: 0,
  }));

  const attempt = async (session: Reconnecting, name: string, args: readonly unknown[]): Promise<unknown> => {
    const end = performance.now() + patienceMs;
    const giveUp = (error: unknown): void => {
      const over = performance.now() >= end || !isAway(error);
      if (over) throw new OutriderError(explainFailure(sessions.what, error), { cause: error });
    };
    for (;;) {
      const connection = await session.get(giveUp);
      if (connection === undefined) throw closedError(sessions.what);
      try {
        return await (snapshotReads.has(name) ? inSnapshot : run)(connection, name, args);
      } catch (error) {
        if (error instanceof OutriderError) throw error;
        if (isAway(error)) connection.abandon();
        else if (!isConflict(error))
          throw new OutriderError(explainFailure(sessions.what, error), { cause: error });
        giveUp(isAway(error) ? error : undefined);
      }
    }
  };

  const leastBusy = () => turns.reduce((best, next) => (next.waiting < best.waiting ? next : best));

  return {
    read: async (name, args) => {
      if (!snapshotReads.has(name)) return attempt(single, name, args);
      const chosen = leastBusy();
      chosen.waiting += 1;
      return chosen
        .turn(() => attempt(chosen.session, name, args))
        .finally(() => {
          chosen.waiting -= 1;
        });
    },
    close: async () => {
      await Promise.all([single.close(), ...turns.map(({ session }) => session.close())]);
    },
  };
};
