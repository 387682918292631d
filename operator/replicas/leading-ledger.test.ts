import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Ledger } from '../ledger/ledger.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import { leadingLedger } from './leading-ledger.ts';

let folder: string;
let ledger: Ledger;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'term-'));
  ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
});
afterEach(async () => {
  await ledger.close();
  await rm(folder, { recursive: true });
});

test('a leader that another one has followed changes nothing any more, and is told', async () => {
  let told = 0;
  const first = leadingLedger(ledger, await ledger.takeTerm(), () => (told += 1));
  expect(await first.advanceSequence({})).toBe(1);
  const second = leadingLedger(ledger, await ledger.takeTerm(), () => undefined);
  const refused = {
    code: 'TermSuperseded',
    message:
      'This replica leads with term 1, and another one has led since with term 2; nothing was changed.',
  };
  const plan = { runUid: 'r', revision: 1, transitions: [] };
  await expect(first.advanceSequence({})).rejects.toMatchObject(refused);
  await expect(first.applyPlan(plan, 0)).rejects.toMatchObject(refused);
  await expect(first.expire({ now: 0, graceMs: 0 })).rejects.toMatchObject(refused);
  await expect(first.prune({ now: 0, runsOlderThan: 0 })).rejects.toMatchObject(refused);
  expect(told).toBe(4);
  expect(await second.advanceSequence({})).toBe(2);
});

test('what is not of the leader is the ledger itself', async () => {
  const leading = leadingLedger(ledger, await ledger.takeTerm(), () => undefined);
  expect(leading.generation).toBe(ledger.generation);
  expect((await leading.readMeta()).term).toBe(1);
});
