import { Value } from 'typebox/value';
import {
  CredentialsRequest,
  OutriderError,
  type CredentialsResponse,
  type VaultGrant,
} from '@outrider/protocol';
import type { CredentialStore } from '@outrider/kinds';
import type { AuthenticatedRunner, Dispatch } from '../dispatch/contract.ts';
import type { Cache, KubeClient } from '../kube/contract.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';
import { readAllowedSecret } from './allowed-secret.ts';
import { signAttemptToken, type AttemptTokenOptions } from './attempt-token.ts';
import { sealEnvelope } from './envelope.ts';
import { publicKeyFrom } from './public-key.ts';
import { parseReference, secretStore, type CredentialName } from './reference.ts';
import { runnerRevoked } from './registration.ts';
import { verifySignedJson } from './signed-json.ts';
import { readVault, type VaultLogin } from './vault-reader.ts';

export interface CredentialsOptions {
  readonly dispatch: Pick<Dispatch, 'authorizeSecrets'>;
  readonly stores: Pick<Cache<CredentialStore>, 'get' | 'list'>;
  readonly kube: Pick<KubeClient, 'get'>;
  readonly ledger: Pick<Ledger, 'readRunnerIdentity' | 'audit'>;
  readonly attemptToken: AttemptTokenOptions;
}

interface Ask {
  readonly runner: AuthenticatedRunner;
  readonly request: CredentialsRequest;
  readonly task: TaskRecord;
  readonly wanted: CredentialName;
}

const invalid = (why: string): OutriderError =>
  new OutriderError({
    code: 'EnvelopeInvalid',
    message: `The request for a credential was refused: ${why}.`,
    action: 'Sign the request with the key that the runner registered.',
  });

const storeNotFound = (options: CredentialsOptions, { task, wanted }: Ask): OutriderError => {
  const { namespace } = task.spec;
  const names = options.stores.list(namespace).map((store) => store.metadata.name);
  return new OutriderError({
    code: 'StoreNotFound',
    message: `There is no CredentialStore ${wanted.store} in namespace ${namespace}. There: ${[...names, secretStore].sort().join(', ')} (${secretStore} is built in).`,
    action: 'Correct the part of the credential before the colon, or create the CredentialStore.',
  });
};

/** Verified by the registered key, not by one that the request brings. */
const readRequest = async (
  options: CredentialsOptions,
  runner: AuthenticatedRunner,
  jws: string,
): Promise<CredentialsRequest> => {
  const record = await options.ledger.readRunnerIdentity(runner.clientId);
  if (!record || record.revokedAt !== null) throw runnerRevoked(runner);
  const key = publicKeyFrom(record.publicKey);
  const payload = key && verifySignedJson(jws, key);
  if (!payload) throw invalid("its signature is not of the runner's registered key");
  if (!Value.Check(CredentialsRequest, payload))
    throw invalid('it is not a CredentialsRequest of this protocol version');
  return payload;
};

/** @throws OutriderError as Dispatch.authorizeSecrets does; Forbidden for another credential than the step's. */
const authorize = async (
  options: CredentialsOptions,
  runner: AuthenticatedRunner,
  request: CredentialsRequest,
): Promise<Ask> => {
  const { session, generation, task: id, epoch, reference } = request;
  const task = await options.dispatch.authorizeSecrets(runner, {
    session,
    generation,
    task: id,
    epoch,
    reference,
  });
  if (task.spec.credential !== reference)
    throw new OutriderError({
      code: 'Forbidden',
      message: `Step ${task.spec.step} of run ${task.spec.run} does not use the credential ${reference}.`,
      action: 'Ask only for the credential that the task names.',
    });
  return { runner, request, task, wanted: parseReference(reference) };
};

const storeParts = (store: CredentialStore, { wanted }: Ask) => {
  const { address, caBundle, namespace, mount = 'secret', pathPrefix } = store.spec.vault;
  return {
    address,
    ...(caBundle === undefined ? {} : { caBundle }),
    ...(namespace === undefined ? {} : { vaultNamespace: namespace }),
    mount,
    path: pathPrefix === undefined ? wanted.name : `${pathPrefix.replace(/\/+$/, '')}/${wanted.name}`,
  };
};

const signFor = (options: CredentialsOptions, store: CredentialStore, ask: Ask): Promise<string> => {
  const { jwt, address } = store.spec.vault;
  return signAttemptToken(options.attemptToken, {
    task: ask.task,
    runner: ask.runner.name,
    audience: jwt?.audience ?? address,
  });
};

const noLogin = (store: CredentialStore, why: string): OutriderError =>
  new OutriderError({
    code: 'StoreDenied',
    message: `The CredentialStore ${store.metadata.name} cannot be used: ${why}.`,
    action: 'Set spec.vault.jwt, or spec.access: Operator with spec.vault.appRole.',
  });

const vaultGrant = async (
  options: CredentialsOptions,
  store: CredentialStore,
  ask: Ask,
): Promise<VaultGrant> => {
  const { jwt } = store.spec.vault;
  if (!jwt) throw noLogin(store, 'runners log in with jwt only, and it has none');
  return {
    kind: 'Vault',
    ...storeParts(store, ask),
    authMount: jwt.mount ?? 'jwt',
    role: jwt.role,
    jwt: await signFor(options, store, ask),
  };
};

const operatorLogin = async (
  options: CredentialsOptions,
  store: CredentialStore,
  ask: Ask,
): Promise<VaultLogin> => {
  const { jwt, appRole } = store.spec.vault;
  if (jwt)
    return {
      method: 'jwt',
      mount: jwt.mount ?? 'jwt',
      role: jwt.role,
      jwt: await signFor(options, store, ask),
    };
  if (!appRole) throw noLogin(store, 'it has neither jwt nor appRole');
  const place = { namespace: store.metadata.namespace, name: appRole.secretRef.name };
  const { secretId } = await readAllowedSecret(options.kube, place);
  if (secretId)
    return {
      method: 'approle',
      mount: appRole.mount ?? 'approle',
      roleId: appRole.roleId,
      secretId: secretId.trim(),
    };
  throw noLogin(store, `the Secret ${place.name} has no key secretId`);
};

/** The label that lets the operator read the secret_id would let every workflow of the namespace name it, too. */
const refuseSecretId = (options: CredentialsOptions, namespace: string, name: string): void => {
  const store = options.stores
    .list(namespace)
    .find(({ spec }) => spec.vault.appRole?.secretRef.name === name);
  if (!store) return;
  throw new OutriderError({
    code: 'SecretNotAllowed',
    message: `The Secret ${name} in namespace ${namespace} holds the secret_id of the CredentialStore ${store.metadata.name}, which never leaves the operator.`,
    action: `Name a secret in that store (${store.metadata.name}:NAME), or keep this credential in a Secret of its own.`,
  });
};

const readForRunner = async (options: CredentialsOptions, ask: Ask): Promise<CredentialsResponse> => {
  const { wanted, task, request } = ask;
  const { namespace } = task.spec;
  if (wanted.store === secretStore) {
    refuseSecretId(options, namespace, wanted.name);
    const fields = await readAllowedSecret(options.kube, { namespace, name: wanted.name });
    return { envelope: await sealEnvelope(request, fields) };
  }
  const store = options.stores.get(namespace, wanted.store);
  if (!store) throw storeNotFound(options, ask);
  if (store.spec.access !== 'Operator') return { vault: await vaultGrant(options, store, ask) };
  const login = await operatorLogin(options, store, ask);
  const fields = await readVault({ store: store.metadata.name, ...storeParts(store, ask), login });
  return { envelope: await sealEnvelope(request, fields) };
};

/** Who was given, or refused, which credential for which attempt; never what is in it. */
const audit = (options: CredentialsOptions, ask: Ask, outcome: string): Promise<void> => {
  const { runner, task, request } = ask;
  return options.ledger.audit({
    at: options.attemptToken.now(),
    actor: `runner:${runner.namespace}/${runner.name}`,
    action: 'credential.read',
    object: `${task.spec.namespace}/${task.spec.run}`,
    details: {
      reference: request.reference,
      step: task.spec.step,
      target: task.target,
      task: task.id,
      epoch: task.epoch,
      outcome,
    },
  });
};

/**
 * RunnerIdentity.credentials: secrets go out only for an attempt in Claimed or Running at its current epoch, and only the one
 * that its step names.
 */
export const createCredentials =
  (options: CredentialsOptions) =>
  async (runner: AuthenticatedRunner, jws: string): Promise<CredentialsResponse> => {
    const ask = await authorize(options, runner, await readRequest(options, runner, jws));
    try {
      const answer = await readForRunner(options, ask);
      await audit(options, ask, answer.vault ? 'Vault' : 'Envelope');
      return answer;
    } catch (error) {
      await audit(options, ask, error instanceof OutriderError ? error.code : 'Internal');
      throw error;
    }
  };
