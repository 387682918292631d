import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Ledger } from './ledger/ledger.ts';
import { openSqliteLedger } from './ledger/sqlite/open.ts';
import type { LogStore } from './logs/contract.ts';
import { openSqliteLogStore } from './logs/open.ts';
import { retentionMs, startPruner } from './pruner.ts';
import { aNewRun, start } from './testing/builders.ts';

let folder = '';
let ledger: Ledger;
let logs: LogStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pruner-'));
  ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  logs = await openSqliteLogStore({ dir: join(folder, 'logs') });
});
afterEach(async () => {
  await ledger.close();
  await logs.close();
  await rm(folder, { recursive: true });
});

const pruneAt = async (at: number): Promise<void> => {
  const errors: unknown[] = [];
  const pruner = startPruner({ ledger, logs, now: () => at, onError: (error) => errors.push(error) });
  pruner.stop();
  await pruner.prune();
  expect(errors).toEqual([]);
};

const finish = async (uid: string): Promise<void> => {
  const known = await ledger.readRun(uid);
  const end = { state: 'Succeeded', reason: 'Succeeded', message: '' } as const;
  await ledger.applyPlan(
    { runUid: uid, revision: known?.run.revision ?? 0, transitions: [], finish: end },
    start,
  );
};

test('a finished run goes after 30 days, and an open one stays whatever its age', async () => {
  for (const uid of ['done', 'open']) await ledger.createRun({ run: aNewRun({ uid, name: uid }), tasks: [] });
  await finish('done');
  await pruneAt(start + retentionMs - 1);
  expect(await ledger.readRun('done')).toBeDefined();
  await pruneAt(start + retentionMs + 1);
  expect(await ledger.readRun('done')).toBeUndefined();
  expect(await ledger.readRun('open')).toBeDefined();
});
