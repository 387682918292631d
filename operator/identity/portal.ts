import type { Login } from '@outrider/kinds';
import type { KubeClient } from '../kube/contract.ts';
import { logins } from '../kube/resources.ts';
import { AccessTokens } from './access-token.ts';
import type { PortalIdentity, PortalUser, ProofContext } from './contract.ts';
import { DpopVerifier } from './dpop.ts';
import type { SigningKey } from './key-material.ts';
import { oauthError } from './oauth-error.ts';
import { publicKeyFrom } from './public-key.ts';
import { TokenEndpoint, type Form, type Grantee } from './token-endpoint.ts';

const portalTokenLifetimeMs = 3_600_000;
/** A Login counts for this long after its creation. */
const loginLifetimeMs = 5 * 60_000;
const audience = 'outrider-portal';

export interface PortalIdentityOptions {
  readonly accessKey: SigningKey;
  readonly issuer: string;
  readonly kube: Pick<KubeClient, 'get'>;
  readonly now: () => number;
}

const action =
  'Create a new Login with a key of your own (`outrider` does so by itself) and use it within 5 minutes.';

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];

const nameFrom = (form: Form): { namespace: string; name: string } => {
  const namespace = form['login_namespace'] ?? '';
  const name = form['login_name'] ?? '';
  const pattern = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
  if (pattern.test(namespace) && pattern.test(name)) return { namespace, name };
  throw oauthError('invalid_request', {
    message: 'The request does not name its Login (login_namespace and login_name).',
    action,
    code: 'BadRequest',
  });
};

/** Identity of CLI users: whoever holds the key of a fresh Login is the user that the API server let create it. */
export const createPortalIdentity = (options: PortalIdentityOptions): PortalIdentity => {
  const { kube, issuer, now } = options;
  const dpop = new DpopVerifier(now);
  const tokens = new AccessTokens({
    key: options.accessKey,
    issuer,
    audience,
    lifetimeMs: portalTokenLifetimeMs,
    now,
  });
  const endpoint = new TokenEndpoint({ tokens, dpop, now });

  const find = async (form: Form): Promise<Grantee> => {
    const ref = nameFrom(form);
    const login = await kube.get<Login>(logins, ref);
    const missing = !login || login.metadata.deletionTimestamp !== undefined;
    if (missing)
      throw oauthError('invalid_client', {
        message: `There is no Login ${ref.namespace}/${ref.name}.`,
        action,
      });
    if (now() - Date.parse(login.metadata.creationTimestamp) >= loginLifetimeMs)
      throw oauthError('invalid_client', {
        message: `The Login ${ref.namespace}/${ref.name} is more than 5 minutes old.`,
        action,
      });
    const key = publicKeyFrom(login.spec.publicKey);
    if (!key)
      throw oauthError('invalid_client', {
        message: `spec.publicKey of the Login ${ref.namespace}/${ref.name} is not an Ed25519 key.`,
        action,
      });
    const { username, groups = [] } = login.spec;
    return { key, subject: username, claims: { groups } };
  };

  const authenticate = async (proof: ProofContext): Promise<PortalUser> => {
    const accessToken = AccessTokens.fromHeader(proof.authorization);
    const claims = tokens.verify(accessToken);
    dpop.verify(proof, { thumbprint: claims.cnf.jkt, accessToken });
    return { username: claims.sub, groups: texts(claims['groups']) };
  };

  return {
    nonce: () => dpop.nonce(),
    issueToken: (form, proof) => endpoint.issue(form, proof, find),
    authenticate,
  };
};
