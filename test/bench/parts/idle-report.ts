import { percentile } from '../figures.ts';
import { atMost, mb, ms, times, type Section } from '../harness/section.ts';
import type { Executed } from './ledger-file.ts';

export interface Memory {
  readonly operator: number;
  readonly runner: number;
}

export interface Measured {
  readonly executed: Executed;
  /** `kubectl create` to `kubectl wait`, by run. */
  readonly wall: readonly number[];
  readonly writes: ReadonlyMap<string, number>;
  readonly runs: number;
  readonly warmUp: number;
  /** Connected, before the first work. */
  readonly fresh: Memory;
  /** After all runs and a rest. */
  readonly rested: Memory;
  readonly restSeconds: number;
  readonly loopDelay: number;
  readonly roundTrip: number;
  readonly fsync: { readonly p50: number; readonly p99: number };
}

export const idleSection = (measured: Measured): Section => {
  const { executed, wall, writes, runs, warmUp, fresh, rested, restSeconds, roundTrip, fsync } = measured;
  const latency = { p50: percentile(executed.latencies, 0.5), p99: percentile(executed.latencies, 0.99) };
  const floor = 2 * roundTrip + 4 * fsync.p50;
  const perRun = [...writes.values()].reduce((sum, value) => sum + value, 0) / runs;
  const byResource = [...writes].map(([key, value]) => `${key} ${(value / runs).toFixed(2)}`).join(', ');
  const show = (value: number): string => value.toFixed(2);
  return {
    title: 'Start latency, idle',
    text: `${executed.latencies.length} attempts of ${runs} runs with three \`local-exec\` steps, one run after the other, after ${warmUp} runs to warm up, by the shipped operator and runner.`,
    rows: [
      atMost('ready to executor entry, p50', latency.p50, { goal: 15, show: ms }),
      atMost('ready to executor entry, p99', latency.p99, { goal: 60, show: ms }),
      {
        figure: `ready to executor entry, the first one after ${restSeconds} s of rest`,
        value: ms(executed.afterRest),
      },
      { figure: `p50 as a ratio to the floor¹ of ${ms(floor)}`, value: times(latency.p50 / floor) },
      {
        figure: 'a 3-step run in the ledger, from freezing to its end, p50',
        value: ms(percentile(executed.runs, 0.5)),
      },
      {
        figure: 'a 3-step run from `kubectl create` to `kubectl wait`, p50',
        value: ms(percentile(wall, 0.5)),
      },
      atMost('API server writes per 3-step run²', perRun, { goal: 8, show }),
      atMost('RSS idle, runner, connected and before its first work', fresh.runner, { goal: 80, show: mb }),
      atMost('RSS idle, operator, before the first run', fresh.operator, { goal: 200, show: mb }),
      {
        figure: `RSS, runner, ${restSeconds} s after the last of ${runs + warmUp} runs`,
        value: mb(rested.runner),
      },
      { figure: 'RSS, operator, likewise', value: mb(rested.operator) },
      atMost('event loop delay of the operator, p99', measured.loopDelay, { goal: 50, show: ms }),
    ],
    notes: `Ledger: SQLite, journal mode ${executed.journalMode}, synchronous FULL. 4 KiB and fdatasync on its disk: p50 ${ms(fsync.p50)}, p99 ${ms(fsync.p99)}. A small HTTPS round trip to the operator: p50 ${ms(roundTrip)}. Instants are whole milliseconds; "ready" is taken before the commit. A runner at rest has no executor thread; its first work waits for one.

¹ What the protocol cannot do without: two round trips (poll's answer and accept) and four syncs (offer, accept, and the runner's two journal entries), by the figures above from the same run.
² \`apiserver_request_total\` of all clients, leases and reviews excluded, the creation of the run included: ${byResource}.

For scale: the goals were set beside figures of Temporal's development server on such a machine, 41 ms p50 and 66 ms p99 from scheduled to started, and 352 ms for a workflow of three steps. They were not measured in the same run.`,
  };
};
