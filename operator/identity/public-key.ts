import { calculateJwkThumbprint, importJWK, type CryptoKey } from 'jose';
import { BoundedMap } from './bounded-map.ts';

/** An Ed25519 public key, ready to verify with, and its RFC 7638 thumbprint. */
export interface PublicKey {
  readonly key: CryptoKey;
  readonly thumbprint: string;
}

/** Signatures of runners and CLI users are EdDSA; both names of it are in use (RFC 8037, RFC 9864). */
export const clientAlgorithms = ['EdDSA', 'Ed25519'];

const imported = new BoundedMap<string, PublicKey>(20_000);

/** From the `x` of an Ed25519 JWK; undefined when that is no key. Imports each key once. */
export const publicKeyFrom = async (x: string): Promise<PublicKey | undefined> => {
  const known = imported.get(x);
  if (known) return known;
  if (!/^[A-Za-z0-9_-]{43}$/.test(x)) return undefined;
  const jwk = { kty: 'OKP', crv: 'Ed25519', x };
  try {
    const key = await importJWK(jwk, 'EdDSA');
    if (key instanceof Uint8Array) return undefined;
    const made = { key, thumbprint: await calculateJwkThumbprint(jwk) };
    imported.set(x, made);
    return made;
  } catch {
    return undefined;
  }
};
