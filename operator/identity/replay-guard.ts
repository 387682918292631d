import { OutriderError } from '@outrider/protocol';

/**
 * Remembers identifiers that may be used once. Bounded: when it is full, new ones are refused rather than old ones forgotten.
 * All entries live equally long, so the oldest stand first and dropping them costs nothing.
 */
export class ReplayGuard {
  readonly #seen = new Map<string, number>();
  readonly #lifetimeMs: number;
  readonly #capacity: number;

  /** @param options.lifetimeMs Longest time for which something that bears an identifier could still be accepted. */
  constructor(options: { lifetimeMs: number; capacity: number }) {
    this.#lifetimeMs = options.lifetimeMs;
    this.#capacity = options.capacity;
  }

  /** False when it was used before. @throws OutriderError TooManyRequests when full. */
  use(id: string, now: number): boolean {
    for (const [old, expiresAt] of this.#seen) {
      if (expiresAt > now) break;
      this.#seen.delete(old);
    }
    if (this.#seen.has(id)) return false;
    if (this.#seen.size >= this.#capacity)
      throw new OutriderError({
        code: 'TooManyRequests',
        message: `More than ${this.#capacity} requests were signed within ${this.#lifetimeMs / 1000} s, more than the operator remembers.`,
        action: 'Wait a minute and try again.',
      });
    this.#seen.set(id, now + this.#lifetimeMs);
    return true;
  }
}
