import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface Executed {
  /** Milliseconds from the instant that was committed as ready to the executor's entry, for every attempt. */
  readonly latencies: readonly number[];
  /** Milliseconds from the freezing of a run to its end. */
  readonly runs: readonly number[];
  readonly journalMode: string;
}

/** What the ledger's file says of the runs named `measured-…`, after the operator has let go of it. */
export const readLedger = (dataDir: string): Executed => {
  const database = new DatabaseSync(join(dataDir, 'ledger.db'), { readOnly: true });
  const attempts = database
    .prepare(
      "select t.ready_at as ready, t.result as result from tasks t join runs r on r.uid = t.run_uid where r.name like 'measured-%'",
    )
    .all() as { ready: number; result: string }[];
  const runs = database
    .prepare("select finished_at - created_at as took from runs where name like 'measured-%'")
    .all() as { took: number }[];
  const { journal_mode: journalMode } = database.prepare('pragma journal_mode').get() as {
    journal_mode: string;
  };
  database.close();
  const entry = (result: string): number =>
    Date.parse((JSON.parse(result) as { startedAt: string }).startedAt);
  return {
    latencies: attempts.map(({ ready, result }) => entry(result) - ready),
    runs: runs.map(({ took }) => took),
    journalMode,
  };
};
