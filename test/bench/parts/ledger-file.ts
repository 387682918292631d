import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface Executed {
  /** Milliseconds from the instant that was committed as ready to the executor's entry, for every attempt. */
  readonly latencies: readonly number[];
  /** Milliseconds from the freezing of a run to its end. */
  readonly runs: readonly number[];
  /** The same as `latencies`, for the first attempt after the rest. */
  readonly afterRest: number;
  readonly journalMode: string;
}

/** What the ledger's file says of the runs named `measured-…` and `rested-…`, after the operator has let go of it. */
export const readLedger = (dataDir: string): Executed => {
  const database = new DatabaseSync(join(dataDir, 'ledger.db'), { readOnly: true });
  const entry = (result: string): number =>
    Date.parse((JSON.parse(result) as { startedAt: string }).startedAt);
  const latencies = (prefix: string): number[] => {
    const rows = database
      .prepare(
        'select t.ready_at as ready, t.result as result from tasks t join runs r on r.uid = t.run_uid where r.name like ? order by t.step_index',
      )
      .all(`${prefix}-%`) as { ready: number; result: string }[];
    return rows.map(({ ready, result }) => entry(result) - ready);
  };
  const executed = { latencies: latencies('measured'), afterRest: latencies('rested')[0] ?? Number.NaN };
  const runs = database
    .prepare("select finished_at - created_at as took from runs where name like 'measured-%'")
    .all() as { took: number }[];
  const { journal_mode: journalMode } = database.prepare('pragma journal_mode').get() as {
    journal_mode: string;
  };
  database.close();
  return { ...executed, runs: runs.map(({ took }) => took), journalMode };
};

export interface Starts {
  /** Milliseconds from the instant that was committed as ready to the executor's entry, for every attempt. */
  readonly latencies: readonly number[];
  /** From the first task that was ready to the end of the last. */
  readonly stepsPerSecond: number;
}

/** What the ledger's file says of the runs with this prefix; it may be read once the operator has let go of it. */
export const readStarts = (dataDir: string, prefix: string): Starts => {
  const database = new DatabaseSync(join(dataDir, 'ledger.db'), { readOnly: true });
  const rows = database
    .prepare(
      'select t.ready_at as ready, t.finished_at as finished, t.result as result from tasks t join runs r on r.uid = t.run_uid where r.name like ?',
    )
    .all(`${prefix}-%`) as { ready: number; finished: number; result: string }[];
  database.close();
  const first = rows.reduce((least, { ready }) => Math.min(least, ready), Infinity);
  const last = rows.reduce((most, { finished }) => Math.max(most, finished), 0);
  const entry = (result: string): number =>
    Date.parse((JSON.parse(result) as { startedAt: string }).startedAt);
  return {
    latencies: rows.map(({ ready, result }) => entry(result) - ready),
    stepsPerSecond: (rows.length * 1000) / (last - first),
  };
};
