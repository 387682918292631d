import { pause } from '../kube/back-off.ts';
import { runAsLeader, type LeaderOptions } from '../kube/lease.ts';

const againMs = 1000;

/**
 * Leads whenever this replica has the Lease, until the signal. A replica that could not begin to lead (its ledger was away)
 * gives the Lease back and stands in line again; it serves all the while.
 */
export const leadInTurn = async (options: LeaderOptions): Promise<void> => {
  const { signal, logger } = options;
  while (!signal.aborted) {
    try {
      await runAsLeader(options);
    } catch (error) {
      logger.error({ err: error }, 'could not lead; standing in line again');
      await pause(againMs, signal);
    }
  }
};
