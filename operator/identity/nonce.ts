import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { BoundedMap } from './bounded-map.ts';

/** A nonce is accepted for one to two of these. */
export const nonceBucketMs = 60_000;

/**
 * Server nonces of RFC 9449 without a store: an HMAC over the current minute. The key lives and dies with the process, so
 * that a proof seen before a restart, or by another replica, is worth nothing: those hold no memory of its jti.
 */
export class NonceIssuer {
  readonly #key = randomBytes(32);
  readonly #made = new BoundedMap<number, string>(4);

  current(now: number): string {
    return this.#at(Math.floor(now / nonceBucketMs));
  }

  accepts(nonce: string, now: number): boolean {
    const bucket = Math.floor(now / nonceBucketMs);
    const given = Buffer.from(nonce);
    return [bucket, bucket - 1].some((each) => {
      const expected = Buffer.from(this.#at(each));
      return expected.length === given.length && timingSafeEqual(expected, given);
    });
  }

  /** Made once a minute: every answer carries one, and every request shows one. */
  #at(bucket: number): string {
    const known = this.#made.get(bucket);
    if (known !== undefined) return known;
    const made = createHmac('sha256', this.#key).update(`dpop-nonce ${bucket}`).digest('base64url');
    this.#made.set(bucket, made);
    return made;
  }
}
