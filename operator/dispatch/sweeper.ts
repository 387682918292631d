import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';
import type { LogStore } from '../logs/contract.ts';
import type { Board } from './board.ts';
import type { Times } from './times.ts';

export interface SweeperOptions {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly now: () => number;
  readonly times: Times;
  /** While the ledger is in recovery, deadlines wait for a person too. */
  readonly paused: () => boolean;
  readonly onError: (error: unknown) => void;
}

export interface Sweeper {
  /** Acts on every deadline that has passed. */
  sweep(graceMs?: number): Promise<void>;
  /** What the timer does: a sweep, unless the operator has been away. */
  tick(): Promise<void>;
  stop(): void;
}

/** Nobody will hear of this attempt any more: its log ends here. */
const wasGivenUp = ({ state, reason }: TaskRecord): boolean =>
  state === 'Lost' || reason === 'Poisoned' || (state === 'Ready' && reason === 'Retrying');

const everyMs = 1000;
/**
 * A longer time between two ticks means that this process, its machine or its clock was not running as it should: less
 * than what a lease leaves after a poll was missed, more than a busy machine delays a timer.
 */
const awayMs = ({ leaseMs }: Times): number => Math.max(3000, Math.min(10_000, leaseMs / 3));

/**
 * Deadlines: offers, queue times, leases and the grace of Unknown. Every non-terminal state has one, so that a stuck run
 * cannot exist. Nothing is asked of the ledger while no task is Ready or held. Deadlines that passed while the operator
 * could not be reached say nothing about runners: after its start, or a standstill, they have time to come back first.
 */
export const startSweeper = (options: SweeperOptions): Sweeper => {
  const { ledger, logs, board, times } = options;
  let busy = false;
  let backSince = options.now();
  let tickedAt = backSince;

  const sweep = async (graceMs = times.unknownGraceMs): Promise<void> => {
    if (busy || board.size === 0) return;
    busy = true;
    try {
      const { tasks } = await ledger.expire({ now: options.now(), graceMs, killGraceMs: times.killGraceMs });
      board.apply(tasks);
      for (const task of tasks)
        if (wasGivenUp(task)) await logs.abandon({ task: task.id, epoch: task.epoch });
    } catch (error) {
      options.onError(error);
    } finally {
      busy = false;
    }
  };

  const tick = async (): Promise<void> => {
    const at = options.now();
    if (Math.abs(at - tickedAt) > awayMs(times) || options.paused()) backSince = at;
    tickedAt = at;
    if (options.paused() || at - backSince < times.settleMs) return;
    // Lost is final: nobody is given up before the operator has listened for as long as an Offline verdict takes, or the grace if that is shorter.
    const listened = at - backSince >= Math.min(times.offlineMs, times.unknownGraceMs);
    await sweep(listened ? times.unknownGraceMs : Infinity);
  };

  const timer = setInterval(() => void tick(), everyMs);
  return { sweep, tick, stop: () => clearInterval(timer) };
};
