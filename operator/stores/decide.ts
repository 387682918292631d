import type { CredentialStore, CredentialStoreStatus } from '@outrider/kinds';
import { conditionsFrom, type Verdict } from '../kube/conditions.ts';
import type { ProbeOutcome } from './probe.ts';

/** What the operator found of the Secret with the AppRole's secret_id. */
export type SecretState = 'NotNeeded' | 'Usable' | 'Missing' | 'NotLabelled' | 'NoSecretId';

export interface StoreFacts {
  readonly store: CredentialStore;
  readonly secret: SecretState;
  /**
   * Undefined with access: Runner. The operator does not probe then: runners reach the store from other networks, and
   * an address that anybody may write must not make the operator connect there without need.
   */
  readonly probe: ProbeOutcome | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** The status that the store should have. Ready means that the spec is accepted. */
export const decideStore = ({ store, secret, probe, now }: StoreFacts): CredentialStoreStatus => {
  const { generation } = store.metadata;
  const verdicts = [ready, referencesResolved(store, secret), reachable(store.spec.vault.address, probe)];
  return {
    observedGeneration: generation,
    conditions: conditionsFrom(verdicts, store.status?.conditions, { now, generation }),
  };
};

const ready: Verdict = {
  type: 'Ready',
  status: 'True',
  reason: 'Accepted',
  message: 'The spec is accepted.',
};

const referencesResolved = (store: CredentialStore, secret: SecretState): Verdict => {
  const { status, reason, message } = secretFindings[secret];
  const name = `Secret ${store.metadata.namespace}/${store.spec.vault.appRole?.secretRef.name ?? ''}`;
  return { type: 'ReferencesResolved', status, reason, message: message.replace('SECRET', () => name) };
};

const secretFindings: Readonly<Record<SecretState, Omit<Verdict, 'type'>>> = {
  NotNeeded: { status: 'True', reason: 'Resolved', message: 'It refers to no other object.' },
  Usable: { status: 'True', reason: 'Resolved', message: 'SECRET has the secret_id.' },
  Missing: {
    status: 'False',
    reason: 'SecretNotFound',
    message:
      'SECRET does not exist. Create it with the key secretId and the label outrider.dev/allow: "true".',
  },
  NotLabelled: {
    status: 'False',
    reason: 'SecretNotAllowed',
    message: 'SECRET does not allow its use by Outrider. Add the label outrider.dev/allow: "true" to it.',
  },
  NoSecretId: {
    status: 'False',
    reason: 'CredentialInvalid',
    message: 'SECRET has no key secretId. Add the secret_id of the AppRole under this key.',
  },
};

const reachable = (address: string, probe: ProbeOutcome | undefined): Verdict => {
  const type = 'Reachable';
  if (probe === undefined)
    return {
      type,
      status: 'Unknown',
      reason: 'CheckedByRunner',
      message:
        'Runners read this store themselves, from where they are; a step that cannot reach it says so.',
    };
  if (probe.kind === 'Untrusted')
    return {
      type,
      status: 'False',
      reason: 'CertificateMismatch',
      message: `The certificate of ${address} is not trusted: ${probe.why}. Set vault.caBundle to the CA that signed it.`,
    };
  if (probe.kind === 'Unreachable')
    return {
      type,
      status: 'False',
      reason: 'StoreUnreachable',
      message: `The operator cannot reach ${address}: ${probe.why}. Check the address and the network between; it is tried again every minute.`,
    };
  return { type, ...health(address, probe.status) };
};

/** Statuses of /v1/sys/health. */
const health = (address: string, status: number): Omit<Verdict, 'type'> => {
  switch (status) {
    case 200:
    case 429:
    case 473:
      return { status: 'True', reason: 'Healthy', message: `${address} answers and is unsealed.` };
    case 472:
      return {
        status: 'False',
        reason: 'DisasterRecoverySecondary',
        message: `${address} is a disaster recovery secondary, which serves no secrets. Name the primary.`,
      };
    case 501:
      return {
        status: 'False',
        reason: 'NotInitialized',
        message: `${address} is not initialized. Initialize it, then unseal it.`,
      };
    case 503:
      return { status: 'False', reason: 'Sealed', message: `${address} is sealed. Unseal it.` };
    default:
      return {
        status: 'False',
        reason: 'UnexpectedAnswer',
        message: `${address} does not answer like Vault: HTTP ${status} from /v1/sys/health. Check the address.`,
      };
  }
};
