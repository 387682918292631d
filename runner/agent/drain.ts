import type { Attempt, Attempts } from './attempts.ts';
import type { Logger } from './log.ts';
import type { Reports } from './report-loop.ts';

/** Time for killed work to end and for its results to reach the operator. */
const endMs = 30_000;

export interface DrainOptions {
  readonly attempts: Attempts;
  readonly reports: Reports;
  /** How long running work may go on. */
  readonly timeoutMs: number;
  /** Leaves an attempt running for the next process; false where it would not outlive this one. */
  readonly handOver: (attempt: Attempt) => boolean;
  /** Aborts when it is to be ended now (a second signal). */
  readonly hurry: AbortSignal;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

/**
 * Waits for running work, then hands over what can go on by itself and ends the rest; a second signal ends all of it. True
 * when nothing is left to report.
 */
export const drain = async (options: DrainOptions): Promise<boolean> => {
  const { attempts, reports, hurry, stop, logger, timeoutMs } = options;
  const idle = (): boolean => attempts.load === 0;
  const delivered = (): boolean => attempts.all().length === 0 && reports.pending === 0;
  const either = AbortSignal.any([hurry, stop]);
  logger.info('draining: taking nothing new', { running: attempts.load, timeoutSeconds: timeoutMs / 1000 });
  if (!(await attempts.until(idle, { milliseconds: timeoutMs, signal: either }))) {
    const running = attempts.all().filter(({ phase }) => phase !== 'Finished');
    const left = running.filter((attempt) => hurry.aborted || !options.handOver(attempt));
    logger.warn('ending what still runs', { running: left.length, handedOver: running.length - left.length });
    for (const attempt of left) attempt.stop.abort('Cancelled');
    await attempts.until(idle, { milliseconds: endMs, signal: stop });
  }
  return attempts.until(delivered, { milliseconds: endMs, signal: stop });
};
