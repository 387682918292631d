import { createHash } from 'node:crypto';
import { NonceIssuer, nonceBucketMs } from './nonce.ts';
import { oauthError } from './oauth-error.ts';
import { publicKeyFrom, type PublicKey } from './public-key.ts';
import { ReplayGuard } from './replay-guard.ts';
import { readPart, splitJws, verifySignedJson, type JsonObject } from './signed-json.ts';
import type { ProofContext } from './contract.ts';

/** A runner's clock may be off this much: that a proof is fresh follows from the server's nonce, not from `iat`. */
const maxSkewMs = 5 * 60_000;
const maxProofLength = 4096;
const maxIdLength = 128;

export interface ProofExpectation {
  /** RFC 7638 thumbprint of the key that must have signed. */
  readonly thumbprint: string;
  /** The access token that the request carries, whose hash must stand in `ath`; absent at the token endpoint. */
  readonly accessToken?: string;
}

/** SHA-256 of an access token as it stands in a proof's `ath`. */
export const accessTokenHash = (token: string): string =>
  createHash('sha256').update(token, 'ascii').digest('base64url');

/** Scheme, host and path as RFC 3986 normalises them, without query and fragment; undefined when it is no URL. */
export const normalUrl = (url: string): string | undefined => {
  if (!URL.canParse(url)) return undefined;
  const { origin, pathname } = new URL(url);
  return origin === 'null' ? undefined : origin + pathname;
};

const refuse = (why: string) =>
  oauthError('invalid_dpop_proof', {
    message: `The DPoP proof was refused: ${why}.`,
    action: 'Sign a fresh proof (RFC 9449) for this very request with the key that the token is bound to.',
  });

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

const headerKey = (proof: string): PublicKey => {
  const header = readPart(splitJws(proof)?.[0] ?? '');
  if (!header) throw refuse('it is not a compact JWS');
  const { typ, jwk } = header;
  if (typ !== 'dpop+jwt') throw refuse('its typ is not dpop+jwt');
  const x = member(jwk, 'x');
  if (member(jwk, 'kty') !== 'OKP' || member(jwk, 'crv') !== 'Ed25519' || typeof x !== 'string')
    throw refuse('its jwk is not an Ed25519 key');
  if (member(jwk, 'd') !== undefined) throw refuse('its jwk holds a private key');
  const key = publicKeyFrom(x);
  if (!key) throw refuse('its jwk is not an Ed25519 key');
  return key;
};

/** Verifies DPoP proofs (RFC 9449) with nonces of its own. One per server process. */
export class DpopVerifier {
  readonly #nonces = new NonceIssuer();
  readonly #now: () => number;
  readonly #used: ReplayGuard;

  constructor(now: () => number, options: { capacity?: number } = {}) {
    this.#now = now;
    const { capacity = 500_000 } = options;
    // A proof is acceptable only while its nonce is: two buckets at most.
    this.#used = new ReplayGuard({
      lifetimeMs: 2 * nonceBucketMs,
      capacity,
      perSigner: Math.ceil(capacity / 5),
    });
  }

  /** Value for the DPoP-Nonce header of every answer. */
  nonce(): string {
    return this.#nonces.current(this.#now());
  }

  /** @throws OutriderError Unauthenticated; details.oauthError is invalid_dpop_proof or use_dpop_nonce. */
  verify(context: ProofContext, expected: ProofExpectation): void {
    const proof = context.dpop;
    if (proof === undefined) throw refuse('the DPoP header is missing');
    if (proof.length > maxProofLength) throw refuse(`it is longer than ${maxProofLength} characters`);
    const key = headerKey(proof);
    if (key.thumbprint !== expected.thumbprint)
      throw refuse('it is signed by another key than the one expected');
    const claims = verifySignedJson(proof, key);
    if (!claims) throw refuse('its signature does not fit its jwk');
    this.#checkRequest(claims, context);
    if (expected.accessToken !== undefined && claims['ath'] !== accessTokenHash(expected.accessToken))
      throw refuse('its ath is not the hash of the access token');
    this.#checkFreshness(claims);
    // Last: only what is right in every other way takes up memory.
    if (!this.#used.use(key.thumbprint, String(claims['jti']), this.#now()))
      throw refuse('it was used before (jti)');
  }

  #checkRequest(claims: JsonObject, context: ProofContext): void {
    if (claims['htm'] !== context.method)
      throw refuse(`it is for another method than ${context.method} (htm)`);
    const htu = claims['htu'];
    const asked = normalUrl(context.url);
    if (typeof htu !== 'string' || asked === undefined || normalUrl(htu) !== asked)
      throw refuse(`it is for another address than ${asked} (htu)`);
  }

  #checkFreshness(claims: JsonObject): void {
    const now = this.#now();
    const { jti, nonce, iat } = claims;
    if (typeof jti !== 'string' || jti === '' || jti.length > maxIdLength)
      throw refuse('it has no jti, or one that is too long');
    if (typeof nonce !== 'string' || !this.#nonces.accepts(nonce, now))
      throw oauthError('use_dpop_nonce', {
        message:
          nonce === undefined
            ? 'The DPoP proof names no server nonce.'
            : "The DPoP proof's server nonce is too old.",
        action: 'Sign a new proof with the nonce of this answer (header DPoP-Nonce) and repeat the request.',
      });
    if (typeof iat !== 'number') throw refuse('it has no iat');
    const skew = Math.round(iat - now / 1000);
    if (Math.abs(skew) * 1000 > maxSkewMs)
      throw refuse(
        `its clock is ${Math.abs(skew)} s ${skew > 0 ? 'ahead of' : 'behind'} the operator's, more than ${maxSkewMs / 1000} s (iat); set the time on that machine`,
      );
  }
}
