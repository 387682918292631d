import { setTimeout as delay } from 'node:timers/promises';

export interface BackOffOptions {
  /** First wait in milliseconds. @default 100 */
  readonly firstMs?: number;
  /** Longest wait in milliseconds. @default 30,000 */
  readonly longestMs?: number;
  /** From 0 to 1. @default Math.random */
  readonly random?: () => number;
}

/** Milliseconds to wait after so many failures in a row (1 is the first): doubling, less up to half by jitter. */
export const backOffMs = (failures: number, options: BackOffOptions = {}): number => {
  const { firstMs = 100, longestMs = 30_000, random = Math.random } = options;
  const whole = Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 30));
  return whole * (1 - random() / 2);
};

/** Waits, or ends early with the signal; never throws. */
export const pause = async (milliseconds: number, signal: AbortSignal): Promise<void> => {
  await delay(milliseconds, undefined, { signal, ref: false }).catch(() => {});
};
