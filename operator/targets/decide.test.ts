import { expect, test } from 'vitest';
import { aTarget, start } from '../testing/builders.ts';
import { decideTarget } from './decide.ts';

const target = aTarget('web-1', { type: 'SSH', host: '192.0.2.1', credential: 'vault:web' });
const common = { lastTransitionTime: '2026-11-22T12:00:00Z', observedGeneration: 1 };
const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'Accepted',
  message: 'The spec is accepted.',
  ...common,
};

test('a target whose store exists is resolved', () => {
  expect(decideTarget({ target, missingStore: undefined, now: start })).toEqual({
    observedGeneration: 1,
    conditions: [
      ready,
      {
        type: 'ReferencesResolved',
        status: 'True',
        reason: 'Resolved',
        message: 'Every CredentialStore that it names exists.',
        ...common,
      },
    ],
  });
});

test('a target whose store is missing names it, and its spec is accepted', () => {
  expect(decideTarget({ target, missingStore: 'vault', now: start }).conditions).toEqual([
    ready,
    {
      type: 'ReferencesResolved',
      status: 'False',
      reason: 'StoreNotFound',
      message:
        'Namespace payments has no CredentialStore vault. Create it or correct spec.credential; steps on this target fail until then, unless they name a credential of their own.',
      ...common,
    },
  ]);
});
