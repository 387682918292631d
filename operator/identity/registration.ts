import { OutriderError, type RegisterRequest, type RegisterResponse } from '@outrider/protocol';
import { apiVersion, type Runner } from '@outrider/kinds';
import type { KubeClient } from '../kube/contract.ts';
import { isConflict } from '../kube/kube-error.ts';
import { runners } from '../kube/resources.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RegistrationTokenRecord, RunnerIdentityRecord } from '../ledger/records.ts';
import { publicKeyFrom, type PublicKey } from './public-key.ts';
import { permittedTags, requestedTags } from './registration-tags.ts';
import {
  redeemRegistrationToken,
  secretHash,
  type RegistrationTokensOptions,
} from './registration-tokens.ts';
import { verifySignedJson } from './signed-json.ts';

const audience = 'outrider-register';

export interface RegistrationOptions extends RegistrationTokensOptions {
  readonly ledger: RegistrationTokensOptions['ledger'] &
    Pick<Ledger, 'putRunnerIdentity' | 'readRunnerIdentity' | 'listRunnerIdentities'>;
  readonly kube: Pick<KubeClient, 'get' | 'create'>;
}

const proofInvalid = (why: string) =>
  new OutriderError({
    code: 'Unauthenticated',
    message: `The proof of the runner's key was refused: ${why}.`,
    action: 'Start the runner again; if this stays, remove its state folder and join with a new token.',
  });

/** Its time is not looked at: the token in it is single use, and a repeat by the same key gives nothing new. */
const verifyProof = (request: RegisterRequest, hash: string): PublicKey => {
  const key = publicKeyFrom(request.publicKey.x);
  if (!key) throw proofInvalid('publicKey is not an Ed25519 key');
  const claims = verifySignedJson(request.proof, key);
  if (!claims) throw proofInvalid('its signature does not fit publicKey');
  if (claims['aud'] !== audience) throw proofInvalid(`its aud is not ${audience}`);
  if (claims['jti'] !== hash) throw proofInvalid('its jti is not the SHA-256 of the token');
  return key;
};

export const runnerRevoked = (runner: { namespace: string; name: string }): OutriderError =>
  new OutriderError({
    code: 'RunnerRevoked',
    message: `Runner ${runner.namespace}/${runner.name} was revoked; its key is refused.`,
    action:
      'To use this machine again, remove the state folder of the runner and join under another name with a new token.',
    details: { oauthError: 'invalid_client' },
  });

/** The Runner resource, made from the token where there is none; a spec that exists is left as it is. */
const ensureRunner = async (
  kube: RegistrationOptions['kube'],
  ref: { namespace: string; name: string },
  tags: readonly string[] | null,
): Promise<{ runner: Runner; existed: boolean }> => {
  const found = await kube.get<Runner>(runners, ref);
  if (found) return { runner: found, existed: true };
  const body = { apiVersion, kind: 'Runner', metadata: ref, spec: tags === null ? {} : { tags } };
  try {
    return { runner: await kube.create<Runner>(runners, ref.namespace, body), existed: false };
  } catch (error) {
    const winner = isConflict(error) ? await kube.get<Runner>(runners, ref) : undefined;
    if (!winner) throw error;
    return { runner: winner, existed: true };
  }
};

/** Several keys may share a name, as replicas of one Runner, but never the installation's own runner with others. */
const checkName = async (
  options: RegistrationOptions,
  token: RegistrationTokenRecord,
  name: string,
): Promise<void> => {
  const others = await options.ledger.listRunnerIdentities({ namespace: token.namespace, name });
  const foreign = others.find((other) => other.revokedAt === null && other.local !== token.local);
  if (!foreign) return;
  throw new OutriderError({
    code: 'RunnerNameTaken',
    message: foreign.local
      ? `The name ${name} in ${token.namespace} belongs to the runner of the Outrider installation itself.`
      : `The name ${name} in ${token.namespace} belongs to a runner outside the Outrider installation.`,
    action: 'Choose another OUTRIDER_RUNNER_NAME.',
  });
};

const checkKnown = (
  known: RunnerIdentityRecord | undefined,
  wanted: { namespace: string; name: string },
): void => {
  if (!known) return;
  if (known.revokedAt !== null) throw runnerRevoked(known);
  if (known.namespace === wanted.namespace && known.name === wanted.name) return;
  throw new OutriderError({
    code: 'Conflict',
    message: `This key is registered as runner ${known.namespace}/${known.name} and cannot become ${wanted.namespace}/${wanted.name} too.`,
    action: 'Start the runner under its old name, or give the new one a state folder of its own.',
  });
};

/** A token that permits less than the spec of a Runner that was there before keeps narrowing it, whatever the runner asks for. */
const tokenNarrows = (token: RegistrationTokenRecord, spec: readonly string[] | undefined): boolean =>
  token.tags !== null && spec !== undefined && spec.some((tag) => !token.tags?.includes(tag));

const answer = (clientId: string, runner: Runner, tags: readonly string[]): RegisterResponse => ({
  namespace: runner.metadata.namespace,
  name: runner.metadata.name,
  uid: runner.metadata.uid,
  clientId,
  tags: [...tags],
});

/**
 * Joins a runner. The proof is checked before the token is touched, so that nobody can bind a token to a key that is not
 * theirs; the answer to a repeat by the same key is the same.
 * @throws OutriderError Unauthenticated, RegistrationTokenInvalid, RegistrationTokenExpired, RegistrationTokenUsed,
 * TagNotPermitted, RunnerNameTaken, RunnerRevoked, Conflict.
 */
export const registerRunner = async (
  options: RegistrationOptions,
  request: RegisterRequest,
): Promise<RegisterResponse> => {
  const hash = secretHash(request.secret);
  const { thumbprint: clientId } = verifyProof(request, hash);
  const token = await redeemRegistrationToken(options, { hash, clientId });
  const ref = { namespace: token.namespace, name: request.name };
  const known = await options.ledger.readRunnerIdentity(clientId);
  checkKnown(known, ref);
  await checkName(options, token, request.name);
  const asked = { name: request.name, wanted: request.tags ?? null, local: token.local };
  // Before the resource is made: a refused request leaves nothing behind.
  requestedTags({ ...asked, permitted: token.tags });
  const { runner, existed } = await ensureRunner(options.kube, ref, token.tags ?? asked.wanted);
  if (runner.spec.revoked === true) throw runnerRevoked(ref);
  const spec = existed ? runner.spec.tags : undefined;
  const effective = requestedTags({ ...asked, permitted: permittedTags(token.tags, spec) });
  await options.ledger.putRunnerIdentity({
    clientId,
    publicKey: request.publicKey.x,
    ...ref,
    requestedTags:
      asked.wanted ?? (known ? known.requestedTags : tokenNarrows(token, spec) ? effective : null),
    permittedTags: token.tags,
    local: token.local,
    registeredAt: known?.registeredAt ?? options.now(),
    revokedAt: null,
  });
  await options.ledger.audit({
    at: options.now(),
    actor: token.createdBy,
    action: 'runner.register',
    object: `${ref.namespace}/${ref.name}`,
    details: { clientId, tags: effective, local: token.local, version: request.version },
  });
  return answer(clientId, runner, effective);
};
