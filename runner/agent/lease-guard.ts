import type { LogFields, Logger } from './log.ts';
import { sleep } from './waits.ts';

/** A suspended machine, a stopped process or a set clock shows as a jump of over this. */
const jumpMs = 5000;
const tickMs = 1000;

export interface Clocks {
  /** Milliseconds since the Unix epoch. */
  wall(): number;
  /** Milliseconds; may stand still while the machine sleeps. */
  monotonic(): number;
}

export const systemClocks: Clocks = { wall: () => Date.now(), monotonic: () => performance.now() };

export interface LeaseGuard {
  /** Resolves when this runner may begin side effects: at once, unless time jumped since it last heard from the operator. */
  ready(): Promise<void>;
  /** Ends on stop. */
  run(): Promise<void>;
}

/**
 * Time that passed unnoticed may have cost the leases: then every attempt is judged anew by the operator (a new session)
 * before anything else starts.
 */
export const createLeaseGuard = (options: {
  revalidate: () => Promise<unknown>;
  stop: AbortSignal;
  logger: Logger;
  clocks?: Clocks;
}): LeaseGuard => {
  const { revalidate, stop, logger, clocks = systemClocks } = options;
  let wall = clocks.wall();
  let monotonic = clocks.monotonic();
  let validation: Promise<void> | undefined;

  const jump = (): LogFields | undefined => {
    const nowWall = clocks.wall();
    const nowMonotonic = clocks.monotonic();
    const passed = nowMonotonic - monotonic;
    const drift = nowWall - wall - passed;
    wall = nowWall;
    monotonic = nowMonotonic;
    if (Math.abs(drift) <= jumpMs && passed <= tickMs + jumpMs) return undefined;
    return { wallJumpMs: Math.round(drift), pausedMs: Math.round(passed) };
  };

  const check = (): void => {
    const found = jump();
    if (found === undefined || validation !== undefined) return;
    logger.warn('time jumped; all attempts are checked with the operator before anything else starts', found);
    validation = revalidate().then(
      () => {
        validation = undefined;
      },
      (error: unknown) => {
        validation = undefined;
        logger.error('the check after a jump of time failed', { reason: String(error) });
      },
    );
  };

  return {
    ready: () => {
      check();
      return validation ?? Promise.resolve();
    },
    run: async () => {
      while (!stop.aborted) {
        await sleep(tickMs, stop);
        if (!stop.aborted) check();
      }
    },
  };
};
