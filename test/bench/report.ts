import { cpus, totalmem } from 'node:os';
import { percentile } from './figures.ts';
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

const ms = (value: number): string => `${value.toFixed(1)} ms`;
const mb = (value: number): string => `${value.toFixed(0)} MB`;
export const missedMark = '**missed**';
const verdict = (value: number, goal: number): string => (value <= goal ? 'met' : missedMark);

const machine = (): string => {
  const model = cpus()[0]?.model ?? 'unknown processor';
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${process.arch}, Node ${process.version}`;
};

/** docs/benchmarks.md, from figures of one run. */
export const renderReport = (measured: Measured): string => {
  const { executed, wall, writes, runs, fresh, rested, roundTrip, fsync } = measured;
  const latency = { p50: percentile(executed.latencies, 0.5), p99: percentile(executed.latencies, 0.99) };
  const floor = 2 * roundTrip + 4 * fsync.p50;
  const perRun = [...writes.values()].reduce((sum, value) => sum + value, 0) / runs;
  const byResource = [...writes].map(([key, value]) => `${key} ${(value / runs).toFixed(2)}`).join(', ');
  return `# Benchmarks

\`make bench\` writes this file. Machine: ${machine()}. Date: ${new Date().toISOString().slice(0, 10)}.
${executed.latencies.length} attempts of ${runs} runs with three \`local-exec\` steps, one run after the other, after ${measured.warmUp} runs to warm up;
operator, runner, API server and etcd share the machine.

| figure | value | goal | |
|---|---|---|---|
| ready to executor entry, p50 | ${ms(latency.p50)} | < 15 ms | ${verdict(latency.p50, 15)} |
| ready to executor entry, p99 | ${ms(latency.p99)} | < 60 ms | ${verdict(latency.p99, 60)} |
| ready to executor entry, the first one after ${measured.restSeconds} s of rest | ${ms(executed.afterRest)} | | |
| p50 as a ratio to the floor¹ of ${ms(floor)} | ${(latency.p50 / floor).toFixed(1)} × | | |
| a 3-step run in the ledger, from freezing to its end, p50 | ${ms(percentile(executed.runs, 0.5))} | | |
| a 3-step run from \`kubectl create\` to \`kubectl wait\`, p50 | ${ms(percentile(wall, 0.5))} | | |
| API server writes per 3-step run² | ${perRun.toFixed(2)} | ≤ 8 | ${verdict(perRun, 8)} |
| RSS idle, runner, connected and before its first work | ${mb(fresh.runner)} | ≤ 80 MB | ${verdict(fresh.runner, 80)} |
| RSS idle, operator, before the first run | ${mb(fresh.operator)} | ≤ 200 MB | ${verdict(fresh.operator, 200)} |
| RSS, runner, ${measured.restSeconds} s after the last of ${runs + measured.warmUp} runs | ${mb(rested.runner)} | | |
| RSS, operator, likewise | ${mb(rested.operator)} | | |
| event loop delay of the operator, p99 | ${ms(measured.loopDelay)} | < 50 ms | ${verdict(measured.loopDelay, 50)} |

Ledger: SQLite, journal mode ${executed.journalMode}, synchronous FULL. 4 KiB and fdatasync on its disk: p50 ${ms(fsync.p50)}, p99 ${ms(fsync.p99)}.
A small HTTPS round trip to the operator: p50 ${ms(roundTrip)}. Instants are whole milliseconds; "ready" is taken before the commit.
A runner at rest has no executor thread; its first work waits for one.

¹ What the protocol cannot do without: two round trips (poll's answer and accept) and four syncs (offer, accept, and the runner's
two journal entries), by the figures above from the same run.
² \`apiserver_request_total\` of all clients, leases and reviews excluded, the creation of the run included: ${byResource}.

For scale: the goals were set beside figures of Temporal's development server on such a machine, 41 ms p50 and 66 ms p99
from scheduled to started, and 352 ms for a workflow of three steps. They were not measured in the same run.
`;
};
