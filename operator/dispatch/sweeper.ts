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

const everyMs = 1000;

/**
 * Deadlines: offers, queue times, leases and the grace of Unknown. Every non-terminal state has one, so that a stuck run
 * cannot exist. Nothing is asked of the ledger while no task is Ready or held.
 */
export const startSweeper = (options: SweeperOptions): { sweep(): Promise<void>; stop(): void } => {
  const { ledger, logs, board } = options;
  let busy = false;
  const sweep = async (): Promise<void> => {
    if (busy || board.size === 0) return;
    busy = true;
    try {
      const { tasks } = await ledger.expire({ now: options.now(), graceMs: options.graceMs });
      board.apply(tasks);
      for (const task of tasks)
        if (task.state === 'Lost') await logs.abandon({ task: task.id, epoch: task.epoch });
    } catch (error) {
      options.onError(error);
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => void sweep(), everyMs);
  return { sweep, stop: () => clearInterval(timer) };
};
