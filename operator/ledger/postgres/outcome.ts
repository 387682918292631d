import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from './connection.ts';
import { isAway, isConflict, unknownOutcomeError } from './failures.ts';
import { openSession, type Sessions } from './session.ts';

/** What one transaction leaves in the table `commits`, by which it can be found again. */
export interface Mark {
  /** Session that commits: its row holds the token of its last committed transaction. */
  readonly writer: string;
  readonly token: string;
}

const markSql = `
INSERT INTO commits (writer, token) VALUES ($1, $2)
ON CONFLICT (writer) DO UPDATE SET token = excluded.token, at = now()
RETURNING pg_current_xact_id()::text AS xid`;

/** Leaves the mark in the open transaction, and answers with the transaction's number. */
export const leaveMark = async (connection: Connection, { writer, token }: Mark): Promise<number> => {
  const [row] = await connection.query<{ xid: string }>(markSql, [writer, token]);
  return Number(row?.xid);
};

/** Waits for the row, so for the end of the transaction that was lost sight of. */
const wasCommitted = async (sessions: Sessions, { writer, token }: Mark): Promise<boolean> => {
  const connection = await openSession(sessions, { purpose: 'outcome' });
  try {
    const sql = 'SELECT token FROM commits WHERE writer = $1 FOR UPDATE';
    const [row] = await connection.query<{ token: string }>(sql, [writer]);
    return row?.token === token;
  } finally {
    await connection.close();
  }
};

const askAgainMs = 100;

/**
 * The connection was lost while the server committed: the mark says whether it did. (The transaction's number would not do:
 * after a crash the server may give the number of a transaction that left no trace to another one.) Resolves when it was
 * committed; rejects with the given failure, to be tried again, when it was rolled back.
 * @throws OutriderError Unavailable when the server cannot tell in time
 */
export const outcomeOf = async (sessions: Sessions, mark: Mark, failure: unknown): Promise<void> => {
  // Anything else is the server's own refusal to commit.
  if (!isAway(failure)) throw failure;
  const end = performance.now() + sessions.settings.patienceMs;
  let last = failure;
  while (performance.now() < end && !sessions.closing) {
    try {
      if (await wasCommitted(sessions, mark)) return;
      throw failure;
    } catch (error) {
      if (error === failure) throw error;
      last = error;
      if (!isAway(error) && !isConflict(error)) break;
    }
    await sleep(askAgainMs);
  }
  throw unknownOutcomeError(sessions.what, last instanceof Error ? last.message : String(last));
};
