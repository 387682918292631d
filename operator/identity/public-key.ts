import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { BoundedMap } from './bounded-map.ts';

/** An Ed25519 public key, ready to verify with, and its RFC 7638 thumbprint. */
export interface PublicKey {
  readonly key: KeyObject;
  readonly thumbprint: string;
}

/** Signatures of runners and CLI users are EdDSA; both names of it are in use (RFC 8037, RFC 9864). */
export const clientAlgorithms: readonly unknown[] = ['EdDSA', 'Ed25519'];

const imported = new BoundedMap<string, PublicKey>(20_000);

/** RFC 7638: the members that make the key, in the order of their names. */
const thumbprintOf = (x: string): string =>
  createHash('sha256').update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest('base64url');

/** From the `x` of an Ed25519 JWK; undefined when that is no key. Imports each key once. */
export const publicKeyFrom = (x: string): PublicKey | undefined => {
  const known = imported.get(x);
  if (known) return known;
  if (!/^[A-Za-z0-9_-]{43}$/.test(x)) return undefined;
  try {
    const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    const made = { key, thumbprint: thumbprintOf(x) };
    imported.set(x, made);
    return made;
  } catch {
    return undefined;
  }
};
