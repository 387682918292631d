import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Journal } from '../journal/contract.ts';

/** Above this the runner may be late with polls and leases. */
const eventLoopDelayMs = 500;

export interface SelfCheck {
  /** Reasons why this runner says that it is not well, for its status; empty when it is. */
  degraded(): string[];
  close(): void;
}

/** Looks at the journal's space and at the event loop's delay since the last look. Clock skew is the operator's to judge. */
export const createSelfCheck = (journal: Pick<Journal, 'nearlyFull' | 'full'>): SelfCheck => {
  const delays = monitorEventLoopDelay({ resolution: 20 });
  delays.enable();
  return {
    degraded: () => {
      const reasons: string[] = [];
      if (journal.full())
        reasons.push('JournalFull: the file system of the journal is full, so no new work is taken');
      else if (journal.nearlyFull())
        reasons.push('JournalNearlyFull: less than a tenth of the journal is free');
      const worst = Math.round(delays.max / 1e6);
      delays.reset();
      if (worst > eventLoopDelayMs)
        reasons.push(`EventLoopDelay: the runner was unresponsive for ${worst} ms`);
      return reasons;
    },
    close: () => delays.disable(),
  };
};
