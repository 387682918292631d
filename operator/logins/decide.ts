import type { Login } from '@outrider/kinds';

/** Logins are exchanged within minutes; after an hour nothing can be done with one. */
export const loginLifeMs = 3_600_000;

/** Bytes of an Ed25519 public key. */
const keyLength = 32;

export type LoginDecision =
  | { readonly action: 'Delete'; readonly why: 'Expired' | 'InvalidKey' }
  | { readonly action: 'Keep'; readonly forMs: number };

const isKey = (text: string): boolean => {
  const bytes = Buffer.from(text, 'base64url');
  return bytes.length === keyLength && bytes.toString('base64url') === text;
};

/** Logins are removed when their hour is over, and at once when no client can hold the key that they name. */
export const decideLogin = (login: Pick<Login, 'metadata' | 'spec'>, now: number): LoginDecision => {
  if (!isKey(login.spec.publicKey)) return { action: 'Delete', why: 'InvalidKey' };
  const forMs = Date.parse(login.metadata.creationTimestamp) + loginLifeMs - now;
  return forMs <= 0 ? { action: 'Delete', why: 'Expired' } : { action: 'Keep', forMs };
};
