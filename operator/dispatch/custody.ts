import { attemptKey, type AttemptRef } from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';
import { openAttemptStates, type TaskRecord } from '../ledger/records.ts';
import type { Board } from './board.ts';
import { notHeld } from './errors.ts';

export interface CustodyOptions {
  readonly board: Pick<Board, 'get'>;
  readonly ledger: Pick<Ledger, 'readTask'>;
}

/**
 * Whose an attempt is. The board of this replica may not have heard yet of what was accepted at another one, so nothing is
 * refused to a runner, and no attempt taken from it, before the ledger was asked.
 */
export const createCustody = ({ board, ledger }: CustodyOptions) => {
  /** The task, if this is its current epoch and this runner holds or held it. */
  const find = async (clientId: string, ref: AttemptRef): Promise<TaskRecord | undefined> => {
    const isIts = (task: TaskRecord | undefined): boolean =>
      task?.runner === clientId && task.epoch === ref.epoch;
    const known = board.get(ref.task);
    if (isIts(known)) return known;
    const stored = await ledger.readTask(ref.task);
    return isIts(stored) ? stored : undefined;
  };

  return {
    find,

    /** While somebody else finds out or decides what became of it, its own result is still the best answer. */
    stillIts: async (clientId: string, refs: readonly AttemptRef[]): Promise<ReadonlySet<string>> => {
      const its = new Set<string>();
      for (const ref of refs) {
        const task = await find(clientId, ref);
        if (task && openAttemptStates.has(task.state)) its.add(attemptKey(ref));
      }
      return its;
    },

    /**
     * Asks the ledger itself: what secrets go out for must be so now.
     * What runs while it is being cancelled keeps them: a runner that was restarted has to log in to end it.
     * @throws OutriderError EpochMismatch or StateMismatch outside Claimed and Running, and when a cancel came before the start.
     */
    requireActive: async (clientId: string, ref: AttemptRef): Promise<TaskRecord> => {
      const task = await ledger.readTask(ref.task);
      const isIts = task?.epoch === ref.epoch && task.runner === clientId;
      if (!isIts || (task.state !== 'Claimed' && task.state !== 'Running')) throw notHeld(ref, task);
      if (task.cancelRequested && task.state === 'Claimed') throw notHeld(ref, task);
      return task;
    },
  };
};
