import type { Runner } from '@outrider/kinds';
import { expect, test } from 'vitest';
import type { RunnerIdentityRecord } from '../ledger/records.ts';
import { createRunnerIdentities } from './identities.ts';
import { revokeRunner } from './revoke.ts';

const identity = (clientId: string, over: Partial<RunnerIdentityRecord> = {}): RunnerIdentityRecord => ({
  clientId,
  publicKey: 'x',
  namespace: 'payments',
  name: 'edge-1',
  requestedTags: null,
  permittedTags: null,
  local: false,
  registeredAt: 0,
  revokedAt: null,
  ...over,
});

const runner: Runner = {
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'Runner',
  metadata: {
    name: 'edge-1',
    namespace: 'payments',
    uid: 'uid',
    resourceVersion: '1',
    generation: 7,
    creationTimestamp: '2026-11-22T11:00:00Z',
  },
  spec: { revoked: true },
};

test('refuses every key of the runner, in the ledger before live, and no key of another', async () => {
  const identities = [
    identity('key-1'),
    identity('key-2'),
    identity('old', { revokedAt: 5 }),
    identity('other-name', { name: 'edge-2' }),
    identity('other-namespace', { namespace: 'shop' }),
  ];
  const done: string[] = [];
  const keys = await revokeRunner(
    {
      ledger: {
        listRunnerIdentities: (of) =>
          Promise.resolve(
            identities.filter(
              ({ namespace, name }) => of === undefined || (namespace === of.namespace && name === of.name),
            ),
          ),
        revokeRunnerIdentity: ({ clientId, now }) =>
          Promise.resolve(void done.push(`ledger ${clientId} ${now}`)),
        audit: ({ action, object, details }) =>
          Promise.resolve(void done.push(`audit ${action} ${object} ${String(details['clientId'])}`)),
      },
      revoke: (clientId) => void done.push(`live ${clientId}`),
    },
    runner,
    { live: [], now: 1000 },
  );
  expect(keys).toEqual(['key-1', 'key-2']);
  expect(done).toEqual([
    'ledger key-1 1000',
    'audit runner.revoke payments/edge-1 key-1',
    'ledger key-2 1000',
    'audit runner.revoke payments/edge-1 key-2',
    'live key-1',
    'live key-2',
  ]);
});

test('reads the keys of all runners every 5 s at most, 10,000 of them every 50 s, and again after a failure', async () => {
  let reads = 0;
  let now = 0;
  let broken = false;
  let keys = [identity('key-1')];
  const identities = createRunnerIdentities(
    {
      listRunnerIdentities: () => {
        reads++;
        return broken ? Promise.reject(new Error('locked')) : Promise.resolve(keys);
      },
    },
    () => now,
  );
  expect(await identities.of('payments', 'edge-1')).toHaveLength(1);
  expect(await identities.of('payments', 'edge-9')).toEqual([]);
  expect(reads).toBe(1);
  now = 5000;
  broken = true;
  await expect(identities.of('payments', 'edge-1')).rejects.toThrow('locked');
  broken = false;
  expect(await identities.of('payments', 'edge-1')).toHaveLength(1);
  expect(reads).toBe(3);
  keys = Array.from({ length: 10_000 }, (_, i) => identity(`key-${i}`));
  for (now = 10_000; now < 60_000; now += 1000) await identities.of('payments', 'edge-1');
  expect(reads).toBe(4);
});
