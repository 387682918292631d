import type { DatabaseSync } from 'node:sqlite';
import { OutriderError } from '@outrider/protocol';
import { explainFailure } from './failures.ts';
import type { Answer, Call } from './worker-messages.ts';

/** Commit times kept for diagnostics. */
const keptTimings = 1000;

export interface GroupCommit {
  /** One transaction for all calls, a savepoint for each; answers are made after the commit. */
  commit(calls: readonly Call[]): Promise<readonly Answer[]>;
  /** Commits that wrote something, and the milliseconds that the last ones took. */
  timings(): { readonly commits: number; readonly commitMs: readonly number[] };
}

/** The engine ended the whole transaction (disk full, I/O error): nothing of the group is kept. */
class TransactionLost extends Error {
  override readonly name = 'TransactionLost';
}

/**
 * @param what How the store is named in errors.
 * @param run Runs one call inside the open transaction; what it throws rolls back that call alone.
 */
export const createGroupCommit = (
  db: DatabaseSync,
  what: string,
  run: (call: Call) => Promise<unknown>,
): GroupCommit => {
  const changes = db.prepare('SELECT total_changes() AS count');
  const commitMs: number[] = [];
  let commits = 0;

  const inSavepoint = async (call: Call): Promise<Answer> => {
    db.exec('SAVEPOINT command');
    try {
      const value = await run(call);
      db.exec('RELEASE command');
      return { id: call.id, ok: true, value };
    } catch (error) {
      if (!db.isTransaction) throw new TransactionLost('transaction lost', { cause: error });
      db.exec('ROLLBACK TO command; RELEASE command');
      const problem = error instanceof OutriderError ? error.toJSON() : explainFailure(what, error);
      return { id: call.id, ok: false, problem };
    }
  };

  const finish = (changesBefore: number): void => {
    const start = performance.now();
    db.exec('COMMIT');
    if (changes.get()?.['count'] === changesBefore) return;
    commits += 1;
    commitMs.push(performance.now() - start);
    if (commitMs.length > keptTimings) commitMs.shift();
  };

  const commit = async (calls: readonly Call[]): Promise<readonly Answer[]> => {
    try {
      db.exec('BEGIN IMMEDIATE');
      const changesBefore = Number(changes.get()?.['count']);
      const answers: Answer[] = [];
      for (const call of calls) answers.push(await inSavepoint(call));
      finish(changesBefore);
      return answers;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      const problem = explainFailure(what, error instanceof TransactionLost ? error.cause : error);
      return calls.map(({ id }) => ({ id, ok: false, problem }));
    }
  };

  return { commit, timings: () => ({ commits, commitMs: [...commitMs] }) };
};
