import type { Ledger } from '../ledger/ledger.ts';
import type { LogStore } from '../logs/contract.ts';
import type { Board } from './board.ts';

export interface SweeperOptions {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly now: () => number;
  /** How long an attempt stays Unknown before its onLost policy acts. */
  readonly graceMs: number;
  readonly onError: (error: unknown) => void;
}

export interface Sweeper {
  /** Acts on every deadline that has passed. */
  sweep(graceMs?: number): Promise<void>;
  /** What the timer does: a sweep, unless the operator has been away. */
  tick(): Promise<void>;
  stop(): void;
}

const everyMs = 1000;
/** A longer time between two ticks means that this process, its machine or its clock was not running as it should. */
const awayMs = 10_000;
/** Runners that wait for the operator try again within 10 s, or 25 s when packets are dropped. */
const settleMs = 30_000;
/** Lost is final: nobody is given up before the operator has listened for as long as an Offline verdict takes, or the grace if that is shorter. */
const listenMs = 120_000;

/**
 * Deadlines: offers, queue times, leases and the grace of Unknown. Every non-terminal state has one, so that a stuck run
 * cannot exist. Nothing is asked of the ledger while no task is Ready or held. Deadlines that passed while the operator
 * could not be reached say nothing about runners: after its start, or a standstill, they have time to come back first.
 */
export const startSweeper = (options: SweeperOptions): Sweeper => {
  const { ledger, logs, board } = options;
  let busy = false;
  let backSince = options.now();
  let tickedAt = backSince;

  const sweep = async (graceMs = options.graceMs): Promise<void> => {
    if (busy || board.size === 0) return;
    busy = true;
    try {
      const { tasks } = await ledger.expire({ now: options.now(), graceMs });
      board.apply(tasks);
      for (const task of tasks)
        if (task.state === 'Lost') await logs.abandon({ task: task.id, epoch: task.epoch });
    } catch (error) {
      options.onError(error);
    } finally {
      busy = false;
    }
  };

  const tick = async (): Promise<void> => {
    const at = options.now();
    if (Math.abs(at - tickedAt) > awayMs) backSince = at;
    tickedAt = at;
    if (at - backSince < settleMs) return;
    const listened = at - backSince >= Math.min(listenMs, options.graceMs);
    await sweep(listened ? options.graceMs : Infinity);
  };

  const timer = setInterval(() => void tick(), everyMs);
  return { sweep, tick, stop: () => clearInterval(timer) };
};
