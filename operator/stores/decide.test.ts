import type { CredentialStore, CredentialStoreSpec } from '@outrider/kinds';
import { describe, expect, test } from 'vitest';
import { findCondition } from '../kube/conditions.ts';
import { decideStore, type SecretState, type StoreFacts } from './decide.ts';
import type { ProbeOutcome } from './probe.ts';
import { missingStores, storeOf } from './references.ts';

const address = 'https://vault.example.com:8200';
const spec: CredentialStoreSpec = {
  access: 'Operator',
  vault: { address, appRole: { roleId: 'role', secretRef: { name: 'vault-approle' } } },
};
const store: CredentialStore = {
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'CredentialStore',
  metadata: {
    name: 'vault',
    namespace: 'payments',
    uid: 'uid',
    resourceVersion: '1',
    generation: 2,
    creationTimestamp: '2026-11-22T11:00:00Z',
  },
  spec,
};

const said = (type: string, over: Partial<StoreFacts>) => {
  const facts: StoreFacts = {
    store,
    secret: 'Usable',
    probe: { kind: 'Answered', status: 200 },
    now: 0,
    ...over,
  };
  const condition = findCondition(decideStore(facts).conditions, type);
  return [condition?.status, condition?.reason, condition?.message];
};

describe('whether a store can be reached', () => {
  const table: readonly [string, ProbeOutcome | undefined, readonly string[]][] = [
    [
      'a store that runners read is left to them',
      undefined,
      [
        'Unknown',
        'CheckedByRunner',
        'Runners read this store themselves, from where they are; a step that cannot reach it says so.',
      ],
    ],
    ['200', { kind: 'Answered', status: 200 }, ['True', 'Healthy', `${address} answers and is unsealed.`]],
    [
      '429 of a standby',
      { kind: 'Answered', status: 429 },
      ['True', 'Healthy', `${address} answers and is unsealed.`],
    ],
    [
      '501',
      { kind: 'Answered', status: 501 },
      ['False', 'NotInitialized', `${address} is not initialized. Initialize it, then unseal it.`],
    ],
    ['503', { kind: 'Answered', status: 503 }, ['False', 'Sealed', `${address} is sealed. Unseal it.`]],
    [
      '404',
      { kind: 'Answered', status: 404 },
      [
        'False',
        'UnexpectedAnswer',
        `${address} does not answer like Vault: HTTP 404 from /v1/sys/health. Check the address.`,
      ],
    ],
    [
      'an untrusted certificate',
      { kind: 'Untrusted', why: 'self-signed certificate' },
      [
        'False',
        'CertificateMismatch',
        `The certificate of ${address} is not trusted: self-signed certificate. Set vault.caBundle to the CA that signed it.`,
      ],
    ],
    [
      'no answer',
      { kind: 'Unreachable', why: 'no answer within 3 s' },
      [
        'False',
        'StoreUnreachable',
        `The operator cannot reach ${address}: no answer within 3 s. Check the address and the network between; it is tried again every minute.`,
      ],
    ],
  ];
  test.each(table)('%s', (_, probe, expected) => {
    expect(said('Reachable', { probe })).toEqual(expected);
    expect(said('Ready', { probe })).toEqual(['True', 'Accepted', 'The spec is accepted.']);
  });
});

describe('the Secret of an AppRole', () => {
  const name = 'Secret payments/vault-approle';
  const table: readonly [SecretState, readonly string[]][] = [
    ['NotNeeded', ['True', 'Resolved', 'It refers to no other object.']],
    ['Usable', ['True', 'Resolved', `${name} has the secret_id.`]],
    [
      'Missing',
      [
        'False',
        'SecretNotFound',
        `${name} does not exist. Create it with the key secretId and the label outrider.dev/allow: "true".`,
      ],
    ],
    [
      'NotLabelled',
      [
        'False',
        'SecretNotAllowed',
        `${name} does not allow its use by Outrider. Add the label outrider.dev/allow: "true" to it.`,
      ],
    ],
    [
      'NoSecretId',
      [
        'False',
        'CredentialInvalid',
        `${name} has no key secretId. Add the secret_id of the AppRole under this key.`,
      ],
    ],
  ];
  test.each(table)('that is %s', (secret, expected) => {
    expect(said('ReferencesResolved', { secret })).toEqual(expected);
  });
});

test('a credential names its store before the colon', () => {
  expect(storeOf('vault:prod/web:1')).toBe('vault');
  expect(missingStores(['vault:a', undefined, 'secret:b', 'prod:c', 'vault:d'], () => false)).toEqual([
    'prod',
    'vault',
  ]);
});
