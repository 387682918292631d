import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Ledger } from '../ledger.ts';
import type { RunnerIdentityRecord } from '../records.ts';
import { openTestLedger, type TestLedger } from '../suite/engine.ts';

let opened: TestLedger;
let ledger: Ledger;
beforeAll(async () => {
  opened = await openTestLedger();
  ({ ledger } = opened);
});
afterAll(() => opened.end());

const token = (hash: string) => ({
  hash,
  namespace: 'team-a',
  tags: ['ssh'],
  local: false,
  createdBy: 'alice',
  expiresAt: 1000,
});

describe('a registration token', () => {
  test('binds to the first key, which may repeat even after its expiry', async () => {
    await ledger.createRegistrationToken(token('hash-1'));
    const redeem = (clientId: string, now: number) =>
      ledger.redeemRegistrationToken({ hash: 'hash-1', clientId, now });
    const bound = { ...token('hash-1'), clientId: 'key-1' };
    expect(await redeem('key-1', 999)).toEqual({ outcome: 'Bound', token: bound });
    expect(await redeem('key-1', 5000)).toEqual({ outcome: 'Repeated', token: bound });
    expect(await redeem('key-2', 999)).toEqual({ outcome: 'Used' });
  });

  test('is told apart as expired or unknown', async () => {
    await ledger.createRegistrationToken(token('hash-2'));
    const redeem = (hash: string) => ledger.redeemRegistrationToken({ hash, clientId: 'key-1', now: 1000 });
    expect(await redeem('hash-2')).toEqual({ outcome: 'Expired' });
    expect(await redeem('hash-3')).toEqual({ outcome: 'Unknown' });
  });
});

test('an identity that is put again keeps its registration time and its revocation', async () => {
  const identity: RunnerIdentityRecord = {
    clientId: 'key-1',
    publicKey: 'x',
    namespace: 'team-a',
    name: 'dc1',
    requestedTags: null,
    permittedTags: ['ssh'],
    local: false,
    registeredAt: 1,
    revokedAt: null,
  };
  await ledger.putRunnerIdentity(identity);
  await ledger.revokeRunnerIdentity({ clientId: 'key-1', now: 7 });
  await ledger.revokeRunnerIdentity({ clientId: 'key-1', now: 9 });
  await ledger.putRunnerIdentity({ ...identity, requestedTags: ['ssh'], registeredAt: 8 });
  const expected = { ...identity, requestedTags: ['ssh'], revokedAt: 7 };
  expect(await ledger.readRunnerIdentity('key-1')).toEqual(expected);
  expect(await ledger.listRunnerIdentities()).toEqual([expected]);
  const { namespace, name } = identity;
  expect(await ledger.listRunnerIdentities({ namespace, name })).toEqual([expected]);
  expect(await ledger.listRunnerIdentities({ namespace, name: 'another' })).toEqual([]);
  expect(await ledger.readRunnerIdentity('key-2')).toBeUndefined();
});

test('the audit trail lists the newest first, by object', async () => {
  const entry = {
    actor: 'alice',
    action: 'Approve',
    object: 'WorkflowRun/team-a/deploy',
    details: { step: 'apply' },
  };
  await ledger.audit({ at: 1, ...entry });
  await ledger.audit({ at: 2, ...entry });
  await ledger.audit({ at: 3, ...entry, object: 'Runner/team-a/dc1' });
  expect(await ledger.listAudit({ limit: 1, object: entry.object })).toEqual([{ at: 2, ...entry }]);
  expect((await ledger.listAudit({ limit: 10 })).map(({ at }) => at)).toEqual([3, 2, 1]);
});
