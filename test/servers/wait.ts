import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitOptions {
  /** Default: 30,000 ms. */
  readonly timeoutMs?: number;
  /** Time between two looks. Default: 50 ms. */
  readonly intervalMs?: number;
  /** Added to the error; for instance the tail of a log. */
  readonly detail?: () => string | Promise<string>;
}

/**
 * Looks until `probe` returns a value other than undefined or false, and returns it. A probe that throws
 * counts as "not yet"; the last such error is part of the message if time runs out.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | Promise<T>,
  options: WaitOptions = {},
): Promise<Exclude<T, undefined | false>> {
  const { timeoutMs = 30_000, intervalMs = 50, detail = () => '' } = options;
  const deadline = performance.now() + timeoutMs;
  let last = '';
  do {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value as Exclude<T, undefined | false>;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await sleep(intervalMs);
  } while (performance.now() < deadline);
  const parts = [`waited ${timeoutMs / 1000} s for ${what}`, last, await detail()];
  throw new Error(parts.filter((part) => part !== '').join('\n'));
}
