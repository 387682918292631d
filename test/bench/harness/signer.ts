import { createHash, createPrivateKey, randomBytes, sign, type KeyObject } from 'node:crypto';
import type { Credentials } from './site.ts';

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const newId = (): string => randomBytes(12).toString('base64url');

/** The nonce of the server's last answer: one for all runners of a process. */
export const nonce = { value: '' };

/** What a runner signs: proofs of RFC 9449 and assertions of RFC 7523, with what never changes made once. */
export class Signer {
  readonly #key: KeyObject;
  readonly #head: string;
  readonly #clientId: string;
  #token = '';
  #tokenHash = '';

  constructor({ x, d, token, clientId }: Credentials) {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x };
    this.#key = createPrivateKey({ key: { ...jwk, d }, format: 'jwk' });
    this.#head = encode({ alg: 'EdDSA', typ: 'dpop+jwt', jwk });
    this.#clientId = clientId;
    this.useToken(token);
  }

  useToken(token: string): void {
    this.#token = token;
    this.#tokenHash = createHash('sha256').update(token).digest('base64url');
  }

  /** Header lines for a request with the access token. */
  authorize(url: string): string {
    return `authorization: DPoP ${this.#token}\r\ndpop: ${this.#proof(url, { ath: this.#tokenHash })}\r\n`;
  }

  /** Header line and form for the token endpoint. */
  askForToken(url: string): { header: string; form: string } {
    const seconds = Math.floor(Date.now() / 1000);
    const claims = {
      iss: this.#clientId,
      sub: this.#clientId,
      aud: url,
      jti: newId(),
      iat: seconds,
      exp: seconds + 60,
    };
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: assertionType,
      client_assertion: this.#sign(`${encode({ alg: 'EdDSA' })}.${encode(claims)}`),
    });
    return { header: `dpop: ${this.#proof(url, {})}\r\n`, form: form.toString() };
  }

  #proof(url: string, more: object): string {
    const claims = {
      htm: 'POST',
      htu: url,
      jti: newId(),
      iat: Math.floor(Date.now() / 1000),
      nonce: nonce.value,
      ...more,
    };
    return this.#sign(`${this.#head}.${encode(claims)}`);
  }

  #sign(input: string): string {
    return `${input}.${sign(null, Buffer.from(input), this.#key).toString('base64url')}`;
  }
}
