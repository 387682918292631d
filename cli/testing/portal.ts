import { createHash, randomUUID } from 'node:crypto';
import { calculateJwkThumbprint, decodeProtectedHeader, importJWK, jwtVerify, type JWK } from 'jose';
import type { Handler, Reply, Seen } from './site.ts';

const refused = (code: string, message: string): Reply => ({
  status: 401,
  json: { code, message, action: 'Do otherwise.' },
});

interface Proof {
  readonly thumbprint: string;
  readonly ath: unknown;
  readonly x: unknown;
}

/** The rules of the portal's token endpoint and of DPoP, as RFC 7523 and RFC 9449 have them, for one user. */
export class TestPortal {
  /** Set by the server that is told of Logins: public key by name. */
  readonly logins = new Map<string, string>();
  readonly #tokens = new Map<string, string>();
  readonly #used = new Set<string>();
  nonce = 'nonce-1';
  url = '';
  issued = 0;
  lifetimeSeconds = 3600;

  /** Tokens that were given count no more. */
  forget(): void {
    this.#tokens.clear();
  }

  /** Answers as the portal does; what is authorised goes to `inner`. */
  handler(inner: Handler): Handler {
    return async (seen, response) => {
      const reply = await this.#answer(seen, response, inner);
      if (!reply) return undefined;
      return { ...reply, headers: { ...reply.headers, 'dpop-nonce': this.nonce } };
    };
  }

  async #answer(seen: Seen, response: Parameters<Handler>[1], inner: Handler): Promise<Reply | undefined> {
    if (seen.path === '/api/v1/token') return this.#issue(seen);
    const token = (seen.headers.authorization ?? '').replace(/^DPoP /, '');
    const proof = await this.#proof(seen);
    if ('refusal' in proof) return proof.refusal;
    if (this.#tokens.get(token) !== proof.thumbprint)
      return refused('Unauthenticated', 'The token is unknown.');
    if (proof.ath !== createHash('sha256').update(token).digest('base64url'))
      return refused('Unauthenticated', 'ath is wrong.');
    return inner(seen, response);
  }

  async #proof(seen: Seen): Promise<{ readonly refusal: Reply } | Proof> {
    const proof = String(seen.headers['dpop']);
    const jwk = decodeProtectedHeader(proof).jwk as JWK;
    const { payload } = await jwtVerify(proof, await importJWK(jwk, 'Ed25519'));
    if (payload['nonce'] !== this.nonce) return { refusal: refused('Unauthenticated', 'use_dpop_nonce') };
    if (payload['htm'] !== seen.method || payload['htu'] !== this.url + seen.path)
      return { refusal: refused('Unauthenticated', `htm or htu is wrong: ${String(payload['htu'])}`) };
    if (this.#used.has(String(payload.jti))) return { refusal: refused('Unauthenticated', 'jti was used.') };
    this.#used.add(String(payload.jti));
    return { thumbprint: await calculateJwkThumbprint(jwk), ath: payload['ath'], x: jwk.x };
  }

  async #issue(seen: Seen): Promise<Reply> {
    const form = new URLSearchParams(seen.body);
    const proof = await this.#proof(seen);
    if ('refusal' in proof) return proof.refusal;
    const x = this.logins.get(`${form.get('login_namespace')}/${form.get('login_name')}`);
    if (x === undefined || x !== proof.x) return refused('Unauthenticated', 'There is no such Login.');
    const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x }, 'EdDSA');
    const { payload } = await jwtVerify(form.get('client_assertion') ?? '', key, {
      audience: `${this.url}/api/v1/token`,
      issuer: proof.thumbprint,
      subject: proof.thumbprint,
    });
    if (this.#used.has(String(payload.jti))) return refused('Unauthenticated', 'The assertion was used.');
    this.#used.add(String(payload.jti));
    const token = randomUUID();
    this.#tokens.set(token, proof.thumbprint);
    this.issued += 1;
    return { json: { access_token: token, token_type: 'DPoP', expires_in: this.lifetimeSeconds } };
  }
}
