import { createHash, randomUUID } from 'node:crypto';
import type { RunnerKey } from './key.ts';

export interface ProofClaims {
  readonly method: 'POST';
  readonly url: string;
  readonly nonce: string | undefined;
  readonly accessToken: string | undefined;
  /** Seconds since the Unix epoch. */
  readonly issuedAt: number;
}

/** A DPoP proof (RFC 9449): who holds the key asks for this, now. */
export const createProof = (
  key: Pick<RunnerKey, 'sign' | 'publicJwk'>,
  { method, url, nonce, accessToken, issuedAt }: ProofClaims,
): Promise<string> => {
  const claims = {
    jti: randomUUID(),
    htm: method,
    htu: url,
    iat: issuedAt,
    ...(nonce === undefined ? {} : { nonce }),
    ...(accessToken === undefined
      ? {}
      : { ath: createHash('sha256').update(accessToken).digest('base64url') }),
  };
  return key.sign(claims, { typ: 'dpop+jwt', jwk: key.publicJwk });
};
