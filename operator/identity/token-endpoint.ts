import { decodeJwt } from 'jose';
import type { TokenResponse } from '@outrider/protocol';
import type { AccessTokens } from './access-token.ts';
import { AssertionVerifier, checkGrant } from './client-assertion.ts';
import type { ProofContext } from './contract.ts';
import type { DpopVerifier } from './dpop.ts';
import { oauthError } from './oauth-error.ts';
import type { PublicKey } from './public-key.ts';

export type Form = Readonly<Record<string, string>>;

/** Who may have a token: the key that must sign, and what the token says. */
export interface Grantee {
  readonly key: PublicKey;
  readonly subject: string;
  readonly claims: Readonly<Record<string, unknown>>;
}

/** The client that a request speaks for, as yet unproven: client_id, else the assertion's sub. */
export const claimedClient = (form: Form): string => {
  if (form['client_id']) return form['client_id'];
  try {
    return decodeJwt(form['client_assertion'] ?? '').sub ?? '';
  } catch {
    return '';
  }
};

/**
 * RFC 6749 client_credentials with RFC 7523 and RFC 9449. `find` looks up who asks; it throws where there is nobody.
 * The key must sign both the assertion and the proof.
 */
export class TokenEndpoint {
  readonly #tokens: AccessTokens;
  readonly #dpop: DpopVerifier;
  readonly #assertions: AssertionVerifier;

  constructor(parts: { tokens: AccessTokens; dpop: DpopVerifier; now: () => number }) {
    this.#tokens = parts.tokens;
    this.#dpop = parts.dpop;
    this.#assertions = new AssertionVerifier(parts.now);
  }

  async issue(
    form: Form,
    proof: ProofContext,
    find: (form: Form) => Promise<Grantee>,
  ): Promise<{ token: TokenResponse; dpopNonce: string }> {
    checkGrant(form);
    const grantee = await find(form);
    const { thumbprint } = grantee.key;
    if (form['client_id'] && form['client_id'] !== thumbprint)
      throw oauthError('invalid_client', {
        message: 'The client_id is not the thumbprint of the registered key.',
        action: 'Leave client_id out, or send the RFC 7638 thumbprint of the key.',
      });
    // The proof first: an answer of use_dpop_nonce must leave the assertion unused, so that it can be sent again.
    this.#dpop.verify(proof, { thumbprint });
    this.#assertions.verify(form['client_assertion'] ?? '', grantee.key, proof.url);
    const token = this.#tokens.issue({ subject: grantee.subject, thumbprint }, grantee.claims);
    return { token, dpopNonce: this.#dpop.nonce() };
  }
}
