import { vi } from 'vitest';

/** Looks until the assertions hold. Long for a wait, short for a bound: what must be fast says so itself. */
export const eventually = (check: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(check, { timeout: 20_000, interval: 20 });
