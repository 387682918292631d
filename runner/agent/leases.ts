import { readFileSync } from 'node:fs';
import type { AttemptRef } from '@outrider/protocol';
import { stopReason, type Attempt, type Attempts } from './attempts.ts';
import type { Logger } from './log.ts';
import type { OperatorSettings } from './operator-settings.ts';
import { sleep as wait } from './waits.ts';

/** Milliseconds since boot, time in suspension included where the system tells; never set, never back. */
export const sinceBoot = (): number => {
  try {
    return Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) * 1000;
  } catch {
    return performance.now();
  }
};

/**
 * How long after an acknowledged renewal was sent the runner begins to end work under `onLost: Retry`.
 *
 * The operator writes a renewal down only when a third of the lease is used, so the lease on record lasts for two thirds
 * of it from then on at least. The operator gives the step away `killGraceMs` after its end; a kill takes 10 s at most.
 */
export const leaseEndsAfterMs = ({ leaseMs }: OperatorSettings['current']): number => (leaseMs * 2) / 3;

export interface Leases {
  /** Milliseconds of the leases' clock: when a request that renews is sent. */
  now(): number;
  /** The operator has acknowledged what was sent then. */
  renewed(attempts: readonly AttemptRef[], sentAt: number): void;
  /** Ends on stop. */
  run(): Promise<void>;
}

export interface LeasesOptions {
  readonly attempts: Pick<Attempts, 'all' | 'get'>;
  readonly settings: Pick<OperatorSettings, 'current'>;
  readonly stop: AbortSignal;
  readonly logger: Logger;
  /** @default sinceBoot */
  readonly now?: () => number;
  /** Between two looks. */
  readonly sleep?: (milliseconds: number, signal: AbortSignal) => Promise<void>;
}

const isRetried = (attempt: Attempt): boolean =>
  attempt.spec.onLost === 'Retry' && attempt.phase !== 'Accepting' && attempt.phase !== 'Finished';

/** Ends work that the operator may soon give to another runner: only `onLost: Retry` does that without asking. */
export const createLeases = (options: LeasesOptions): Leases => {
  const { attempts, settings, stop, logger, now = sinceBoot, sleep = wait } = options;

  const check = (): void => {
    const lasts = leaseEndsAfterMs(settings.current);
    for (const attempt of attempts.all()) {
      const { renewedAt } = attempt;
      if (renewedAt === undefined || !isRetried(attempt) || stopReason(attempt) !== undefined) continue;
      const unheardMs = now() - renewedAt;
      if (unheardMs < lasts) continue;
      logger.warn('a lease cannot be renewed; the attempt is ended, so that it may be retried elsewhere', {
        attempt: attempt.key,
        unheardMs: Math.round(unheardMs),
      });
      attempt.stop.abort('LeaseLost');
    }
  };

  return {
    now,
    renewed: (refs, sentAt) => {
      for (const ref of refs) {
        const attempt = attempts.get(ref);
        if (attempt !== undefined) attempt.renewedAt = Math.max(attempt.renewedAt ?? sentAt, sentAt);
      }
    },
    run: async () => {
      while (!stop.aborted) {
        await sleep(Math.min(1000, Math.max(50, settings.current.leaseMs / 30)), stop);
        if (!stop.aborted) check();
      }
    },
  };
};
