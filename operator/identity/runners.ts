import type { CredentialsResponse } from '@outrider/protocol';
import type { AuthenticatedRunner } from '../dispatch/contract.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { AccessTokens, type AccessTokenClaims } from './access-token.ts';
import type { Authority } from './ca.ts';
import type { ProofContext, RunnerIdentity } from './contract.ts';
import { DpopVerifier } from './dpop.ts';
import type { SigningKey } from './key-material.ts';
import { oauthError } from './oauth-error.ts';
import { publicKeyFrom } from './public-key.ts';
import { registerRunner, runnerRevoked, type RegistrationOptions } from './registration.ts';
import { createRegistrationToken } from './registration-tokens.ts';
import { TokenEndpoint, claimedClient, type Form, type Grantee } from './token-endpoint.ts';

const runnerTokenLifetimeMs = 5 * 60_000;
const audience = 'outrider-runner';

export interface RunnerIdentityOptions {
  readonly authority: Pick<Authority, 'caPem' | 'caKeyHash' | 'tls' | 'onRenewed'>;
  readonly accessKey: SigningKey;
  /** Issuer of access tokens: any stable URL of this installation. */
  readonly issuer: string;
  /** Base URL of the runner API, as runners reach it; stands in registration tokens. */
  readonly url: string;
  readonly ledger: RegistrationOptions['ledger'] & Pick<Ledger, 'listRunnerIdentities'>;
  readonly kube: RegistrationOptions['kube'];
  readonly credentials: (runner: AuthenticatedRunner, jws: string) => Promise<CredentialsResponse>;
  readonly now: () => number;
}

const unknownClient = () =>
  oauthError('invalid_client', {
    message: 'The operator knows no runner with this key.',
    action: 'Join with a new registration token (`outrider runner token`).',
  });

const toRunner = (claims: AccessTokenClaims): AuthenticatedRunner => ({
  clientId: claims.sub,
  namespace: String(claims['namespace']),
  name: String(claims['name']),
  local: claims['local'] === true,
});

/** Identity of runners. Reads the revoked keys of the ledger before it answers. */
export const createRunnerIdentity = async (options: RunnerIdentityOptions): Promise<RunnerIdentity> => {
  const { authority, ledger, issuer, now } = options;
  const known = await ledger.listRunnerIdentities();
  const revoked = new Set(known.filter((each) => each.revokedAt !== null).map((each) => each.clientId));
  const dpop = new DpopVerifier(now);
  const tokens = new AccessTokens({
    key: options.accessKey,
    issuer,
    audience,
    lifetimeMs: runnerTokenLifetimeMs,
    now,
  });
  const endpoint = new TokenEndpoint({ tokens, dpop, now });
  const registration = { ...options, caKeyHash: () => authority.caKeyHash };

  const find = async (form: Form): Promise<Grantee> => {
    const record = await ledger.readRunnerIdentity(claimedClient(form));
    if (!record) throw unknownClient();
    if (record.revokedAt !== null) revoked.add(record.clientId);
    if (revoked.has(record.clientId)) throw runnerRevoked(record);
    const key = publicKeyFrom(record.publicKey);
    if (!key) throw unknownClient();
    const { namespace, name, local } = record;
    return { key, subject: record.clientId, claims: { namespace, name, local } };
  };

  const authenticate = async (proof: ProofContext): Promise<AuthenticatedRunner> => {
    const accessToken = AccessTokens.fromHeader(proof.authorization);
    const claims = tokens.verify(accessToken);
    const runner = toRunner(claims);
    if (revoked.has(runner.clientId)) throw runnerRevoked(runner);
    dpop.verify(proof, { thumbprint: claims.cnf.jkt, accessToken });
    return runner;
  };

  return {
    get caPem() {
      return authority.caPem;
    },
    get caKeyHash() {
      return authority.caKeyHash;
    },
    get tls() {
      return authority.tls;
    },
    onTlsRenewed: (listener) => authority.onRenewed(listener),
    nonce: () => dpop.nonce(),
    revoked: (clientId) => {
      revoked.add(clientId);
    },
    createRegistrationToken: (request) => createRegistrationToken(registration, request),
    register: (request) => registerRunner(registration, request),
    issueToken: (form, proof) => endpoint.issue(form, proof, find),
    authenticate,
    credentials: options.credentials,
  };
};
