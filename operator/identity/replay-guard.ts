import { OutriderError } from '@outrider/protocol';

export interface ReplayGuardOptions {
  /** Longest time for which something that bears an identifier could still be accepted. */
  readonly lifetimeMs: number;
  readonly capacity: number;
  /** Most that one signer may take of the capacity, so that none can lock out the others. */
  readonly perSigner: number;
}

interface Entry {
  readonly signer: string;
  readonly expiresAt: number;
}

/**
 * Remembers identifiers that may be used once. Bounded: when it is full, new ones are refused rather than old ones forgotten.
 * All entries live equally long, so the oldest stand first and dropping them costs nothing.
 */
export class ReplayGuard {
  readonly #seen = new Map<string, Entry>();
  readonly #held = new Map<string, number>();
  readonly #options: ReplayGuardOptions;

  constructor(options: ReplayGuardOptions) {
    this.#options = options;
  }

  /**
   * False when this signer used it before.
   * @param signer Thumbprint of the key. @throws OutriderError TooManyRequests when full, for all or for this signer.
   */
  use(signer: string, id: string, now: number): boolean {
    this.#forget(now);
    const key = `${signer} ${id}`;
    if (this.#seen.has(key)) return false;
    const { capacity, perSigner, lifetimeMs } = this.#options;
    const held = this.#held.get(signer) ?? 0;
    if (held >= perSigner) throw this.#full(`This key signed more than ${perSigner} requests`);
    if (this.#seen.size >= capacity) throw this.#full(`More than ${capacity} requests were signed`);
    this.#seen.set(key, { signer, expiresAt: now + lifetimeMs });
    this.#held.set(signer, held + 1);
    return true;
  }

  #forget(now: number): void {
    for (const [key, { signer, expiresAt }] of this.#seen) {
      if (expiresAt > now) break;
      this.#seen.delete(key);
      const left = (this.#held.get(signer) ?? 0) - 1;
      if (left > 0) this.#held.set(signer, left);
      else this.#held.delete(signer);
    }
  }

  #full(what: string): OutriderError {
    return new OutriderError({
      code: 'TooManyRequests',
      message: `${what} within ${this.#options.lifetimeMs / 1000} s, more than the operator remembers.`,
      action: 'Wait a minute and try again.',
    });
  }
}
