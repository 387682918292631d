import { createHash, randomUUID } from 'node:crypto';
import type { TokenResponse } from '@outrider/protocol';
import { BoundedMap } from './bounded-map.ts';
import type { SigningKey } from './key-material.ts';
import { oauthError } from './oauth-error.ts';
import type { PublicKey } from './public-key.ts';
import { readPart, signJson, splitJws, verifySignedJson, type JsonObject } from './signed-json.ts';

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

export interface AccessTokenClaims extends JsonObject {
  readonly sub: string;
  readonly cnf: { readonly jkt: string };
  /** Seconds since the Unix epoch. */
  readonly exp: number;
}

const refuse = (why: string) =>
  oauthError('invalid_token', {
    message: `The access token was refused: ${why}.`,
    action: 'Get a new one from the token endpoint.',
  });

const hasBinding = (claims: JsonObject): claims is AccessTokenClaims => {
  const { cnf, sub, exp } = claims;
  return (
    typeof sub === 'string' &&
    typeof exp === 'number' &&
    typeof cnf === 'object' &&
    cnf !== null &&
    'jkt' in cnf &&
    typeof cnf.jkt === 'string'
  );
};

/** Key-bound access tokens (RFC 9068, RFC 9449) that this operator issues and reads itself. */
export class AccessTokens {
  readonly #options: AccessTokenOptions;
  readonly #verified: BoundedMap<string, AccessTokenClaims>;
  readonly #public: PublicKey;

  constructor(options: AccessTokenOptions) {
    this.#options = options;
    this.#verified = new BoundedMap(options.capacity ?? 20_000);
    this.#public = { key: options.key.publicKey, thumbprint: options.key.kid };
  }

  /** @param binding.thumbprint Of the key that every request with this token must be signed by. */
  issue(
    binding: { subject: string; thumbprint: string },
    claims: Readonly<Record<string, unknown>>,
  ): TokenResponse {
    const { key, issuer, audience, lifetimeMs, now } = this.#options;
    const issuedAt = Math.floor(now() / 1000);
    const lifetime = Math.floor(lifetimeMs / 1000);
    const { subject, thumbprint } = binding;
    const stated = {
      ...claims,
      cnf: { jkt: thumbprint },
      iss: issuer,
      aud: audience,
      sub: subject,
      jti: randomUUID(),
      iat: issuedAt,
      exp: issuedAt + lifetime,
    };
    const token = signJson({ alg: 'EdDSA', typ: 'at+jwt', kid: key.kid }, stated, key.privateKey);
    this.#remember(token, stated);
    return { access_token: token, token_type: 'DPoP', expires_in: lifetime };
  }

  /** Verifies a signature once and remembers it, by the token's hash, until it expires. @throws OutriderError Unauthenticated. */
  verify(token: string): AccessTokenClaims {
    const known = this.#verified.get(hashOf(token));
    if (known && this.#isCurrent(known)) return known;
    const claims = this.#check(token);
    this.#remember(token, claims);
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

  #isCurrent({ exp }: AccessTokenClaims): boolean {
    return exp * 1000 > this.#options.now();
  }

  #remember(token: string, claims: AccessTokenClaims): void {
    this.#verified.set(hashOf(token), claims);
  }

  #check(token: string): AccessTokenClaims {
    const { issuer, audience } = this.#options;
    const header = readPart(splitJws(token)?.[0] ?? '');
    const claims = verifySignedJson(token, this.#public);
    if (!claims || header?.['typ'] !== 'at+jwt' || claims['iss'] !== issuer || claims['aud'] !== audience)
      throw refuse('it is not one of this operator, or not for this API');
    if (!hasBinding(claims)) throw refuse('it is not bound to a key');
    if (!this.#isCurrent(claims)) throw refuse('it has expired');
    return claims;
  }
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('base64');
