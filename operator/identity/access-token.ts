import { createHash, randomUUID } from 'node:crypto';
import { SignJWT, jwtVerify, type JWTPayload } from 'jose';
import type { TokenResponse } from '@outrider/protocol';
import { BoundedMap } from './bounded-map.ts';
import type { SigningKey } from './key-material.ts';
import { oauthError } from './oauth-error.ts';

export interface AccessTokenOptions {
  readonly key: SigningKey;
  readonly issuer: string;
  /** Which API the tokens are for: one for runners is worth nothing at the portal. */
  readonly audience: string;
  readonly lifetimeMs: number;
  readonly now: () => number;
  /** Most verified tokens to remember. */
  readonly capacity?: number;
}

export interface AccessTokenClaims extends JWTPayload {
  readonly sub: string;
  readonly cnf: { readonly jkt: string };
}

interface Verified {
  readonly claims: AccessTokenClaims;
  readonly expiresAt: number;
}

const refuse = (why: string) =>
  oauthError('invalid_token', {
    message: `The access token was refused: ${why}.`,
    action: 'Get a new one from the token endpoint.',
  });

const hasBinding = (claims: JWTPayload): claims is AccessTokenClaims => {
  const { cnf } = claims;
  return (
    typeof claims.sub === 'string' &&
    typeof cnf === 'object' &&
    cnf !== null &&
    'jkt' in cnf &&
    typeof cnf.jkt === 'string'
  );
};

/** Key-bound access tokens (RFC 9068, RFC 9449) that this operator issues and reads itself. */
export class AccessTokens {
  readonly #options: AccessTokenOptions;
  readonly #verified: BoundedMap<string, Verified>;

  constructor(options: AccessTokenOptions) {
    this.#options = options;
    this.#verified = new BoundedMap(options.capacity ?? 20_000);
  }

  /** @param binding.thumbprint Of the key that every request with this token must be signed by. */
  async issue(
    binding: { subject: string; thumbprint: string },
    claims: Readonly<Record<string, unknown>>,
  ): Promise<TokenResponse> {
    const { key, issuer, audience, lifetimeMs, now } = this.#options;
    const issuedAt = Math.floor(now() / 1000);
    const lifetime = Math.floor(lifetimeMs / 1000);
    const token = await new SignJWT({ ...claims, cnf: { jkt: binding.thumbprint } })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(binding.subject)
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + lifetime)
      .sign(key.privateKey);
    return { access_token: token, token_type: 'DPoP', expires_in: lifetime };
  }

  /** Verifies a signature once and remembers it, by the token's hash, until it expires. @throws OutriderError Unauthenticated. */
  async verify(token: string): Promise<AccessTokenClaims> {
    const hash = createHash('sha256').update(token).digest('base64');
    const known = this.#verified.get(hash);
    if (known && known.expiresAt > this.#options.now()) return known.claims;
    if (known) this.#verified.delete(hash);
    const claims = await this.#check(token);
    this.#verified.set(hash, { claims, expiresAt: (claims.exp ?? 0) * 1000 });
    return claims;
  }

  /** The token of an `Authorization: DPoP …` header. @throws OutriderError Unauthenticated when there is none. */
  static fromHeader(authorization: string | undefined): string {
    const match = /^DPoP ([A-Za-z0-9._-]{1,8192})$/i.exec(authorization ?? '');
    if (match?.[1]) return match[1];
    throw oauthError('invalid_token', {
      message: 'The request carries no access token (Authorization: DPoP …).',
      action: 'Get one from the token endpoint and send it with a DPoP proof.',
    });
  }

  async #check(token: string): Promise<AccessTokenClaims> {
    const { key, issuer, audience, now } = this.#options;
    let claims: JWTPayload;
    try {
      const verified = await jwtVerify(token, key.publicKey, {
        algorithms: ['EdDSA'],
        typ: 'at+jwt',
        issuer,
        audience,
        requiredClaims: ['exp'],
        currentDate: new Date(now()),
      });
      claims = verified.payload;
    } catch (error) {
      const expired = error instanceof Error && 'code' in error && error.code === 'ERR_JWT_EXPIRED';
      throw refuse(expired ? 'it has expired' : 'it is not one of this operator, or not for this API');
    }
    if (!hasBinding(claims)) throw refuse('it is not bound to a key');
    return claims;
  }
}
