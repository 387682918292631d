import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Ledger } from './ledger/ledger.ts';
import { openSqliteLedger } from './ledger/sqlite/open.ts';
import type { LogStore } from './logs/contract.ts';
import { openSqliteLogStore } from './logs/open.ts';
import { watchStores, type StoreWatch } from './store-watch.ts';

let folder = '';
let ledger: Ledger;
let logs: LogStore;
let watch: StoreWatch;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'watch-'));
  ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  logs = await openSqliteLogStore({ dir: join(folder, 'logs') });
});
afterEach(async () => {
  watch.stop();
  await ledger.close();
  await logs.close();
  await rm(folder, { recursive: true });
});

test('an operator whose ledger is gone is told so', async () => {
  watch = watchStores({ ledger, logs, everyMs: 5 });
  await ledger.close();
  await expect(watch.failed).rejects.toMatchObject({
    code: 'Unavailable',
    message: `The ledger ${join(folder, 'ledger.db')} is closed.`,
  });
});

test('an operator whose log store is gone is told so', async () => {
  watch = watchStores({ ledger, logs, everyMs: 5 });
  await logs.close();
  await expect(watch.failed).rejects.toMatchObject({ code: 'Unavailable' });
});

test('a store that fails now and then is no reason to end', async () => {
  let asked = 0;
  const state: LogStore['state'] = (ref) => {
    asked += 1;
    return asked % 3 === 0 ? logs.state(ref) : Promise.reject(new Error('a passing failure'));
  };
  watch = watchStores({ ledger, logs: { state }, everyMs: 5 });
  const steady = expect.poll(() => asked, { timeout: 10_000 }).toBeGreaterThan(12);
  await Promise.race([watch.failed, steady]);
  await steady;
});
