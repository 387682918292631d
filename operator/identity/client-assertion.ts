import { oauthError } from './oauth-error.ts';
import type { PublicKey } from './public-key.ts';
import { ReplayGuard } from './replay-guard.ts';
import { verifySignedJson, type JsonObject } from './signed-json.ts';
import { normalUrl } from './dpop.ts';

export const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

const maxLifetimeMs = 5 * 60_000;
/** The same allowance as for proofs: freshness follows from the DPoP nonce of the same request. */
const maxSkewMs = 5 * 60_000;

const refuse = (why: string) =>
  oauthError('invalid_client', {
    message: `The client assertion was refused: ${why}.`,
    action: 'Sign a fresh one (RFC 7523) with the registered key, for the address of this token endpoint.',
  });

type Form = Readonly<Record<string, string>>;

/** @throws OutriderError Unauthenticated with the OAuth word that fits. */
export const checkGrant = (form: Form): void => {
  if (form['grant_type'] !== 'client_credentials')
    throw oauthError('unsupported_grant_type', {
      message: `The token endpoint does not know the grant_type ${JSON.stringify(form['grant_type'] ?? '')}.`,
      action: 'Use client_credentials with a client_assertion.',
      code: 'BadRequest',
    });
  if (form['client_assertion_type'] !== assertionType || !form['client_assertion'])
    throw oauthError('invalid_request', {
      message: 'The request has no client_assertion, or one of another client_assertion_type.',
      action: `Send client_assertion with client_assertion_type=${assertionType}.`,
      code: 'BadRequest',
    });
};

/** Verifies client assertions of RFC 7523, each once. */
export class AssertionVerifier {
  readonly #now: () => number;
  /** A client needs one every few minutes. */
  readonly #used = new ReplayGuard({
    lifetimeMs: maxLifetimeMs + 2 * maxSkewMs,
    capacity: 100_000,
    perSigner: 1000,
  });

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws OutriderError Unauthenticated with the OAuth word invalid_client. */
  verify(assertion: string, key: PublicKey, tokenUrl: string): void {
    if (assertion.length > 4096) throw refuse('it is longer than 4096 characters');
    const claims = verifySignedJson(assertion, key);
    if (!claims) throw refuse('its signature does not fit the key of this client');
    if (claims['iss'] !== key.thumbprint || claims['sub'] !== key.thumbprint)
      throw refuse('its iss and sub are not the client_id');
    this.#checkAudience(claims, tokenUrl);
    this.#checkTimes(claims);
    const { jti } = claims;
    if (typeof jti !== 'string' || jti === '' || jti.length > 128)
      throw refuse('it has no jti, or one that is too long');
    if (!this.#used.use(key.thumbprint, jti, this.#now())) throw refuse('it was used before (jti)');
  }

  #checkAudience(claims: JsonObject, tokenUrl: string): void {
    const audience: unknown[] = Array.isArray(claims['aud']) ? claims['aud'] : [claims['aud']];
    const wanted = normalUrl(tokenUrl);
    const fits = audience.some((each) => typeof each === 'string' && normalUrl(each) === wanted);
    if (wanted === undefined || !fits) throw refuse(`its aud is not ${wanted}`);
  }

  #checkTimes(claims: JsonObject): void {
    const now = this.#now();
    const { exp, nbf } = claims;
    if (typeof exp !== 'number') throw refuse('it has no exp');
    if (exp * 1000 + maxSkewMs <= now) throw refuse('it has expired (exp)');
    if (exp * 1000 - now > maxLifetimeMs + maxSkewMs)
      throw refuse('it is valid for more than 5 minutes (exp)');
    if (typeof nbf === 'number' && nbf * 1000 - maxSkewMs > now) throw refuse('it is not valid yet (nbf)');
  }
}
