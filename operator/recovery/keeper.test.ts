import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Ledger } from '../ledger/ledger.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import { aNewRun, start } from '../testing/builders.ts';
import { startRecoveryKeeper, witnessEveryMs, type RecoveryKeeper } from './keeper.ts';
import { openRecoveryMode, type RecoveryMode } from './mode.ts';
import type { Witness, WitnessRecord, WitnessStore } from './witness.ts';

let folder = '';
let ledger: Ledger;
let mode: RecoveryMode;
let keeper: RecoveryKeeper | undefined;
let now = start;
let written: WitnessRecord[] = [];
let events: string[] = [];
/** What the cluster holds, which outlives the ledger. */
let held: Witness | undefined;
let outOfReach = false;

const witness: WitnessStore = {
  read: async () => held,
  write: async (record) => {
    if (outOfReach) throw new Error('the API server is out of reach');
    written.push(record);
    held = { generation: record.generation, sequence: record.sequence, confirmed: held?.confirmed };
    return { metadata: { name: 'outrider-ledger', uid: 'uid', resourceVersion: '1' } };
  },
};

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const begin = async (): Promise<RecoveryKeeper> => {
  mode = await openRecoveryMode({ ledger, apply: () => {}, now: () => now });
  const record = (_: unknown, { reason }: { reason: string }): void => void events.push(reason);
  keeper = await startRecoveryKeeper({
    ledger,
    mode,
    witness,
    runs: [],
    events: { record },
    logger,
    now: () => now,
  });
  return keeper;
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'recovery-'));
  ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  [now, written, events, held, outOfReach] = [start, [], [], undefined, false];
});
afterEach(async () => {
  await keeper?.stop();
  await ledger.close();
  await rm(folder, { recursive: true });
});

test('the first start is no recovery, and is remembered', async () => {
  await begin();
  const { generation } = ledger;
  expect([mode.active, written]).toEqual([
    false,
    [{ generation, sequence: 1, term: 0, state: 'Normal', reason: undefined, since: undefined }],
  ]);
});

test('the cluster is told every ten seconds while something is committed, and nothing at rest', async () => {
  const begun = await begin();
  const later = async (): Promise<number> => {
    now += witnessEveryMs;
    await begun.tick();
    return written.length;
  };
  expect(await later()).toBe(1);
  await ledger.createRun({ run: aNewRun(), tasks: [] });
  now += witnessEveryMs - 1;
  await begun.tick();
  expect(written).toHaveLength(2);
  expect([await later(), written.at(-1)?.sequence]).toEqual([2, 2]);
});

test('a cluster out of reach is told later, and the last word at the stop', async () => {
  const begun = await begin();
  outOfReach = true;
  await ledger.createRun({ run: aNewRun(), tasks: [] });
  now += witnessEveryMs;
  await begun.tick();
  expect(written).toHaveLength(1);
  outOfReach = false;
  await begun.tick();
  expect(written).toHaveLength(2);
  await begun.stop();
  expect(written.map(({ sequence }) => sequence)).toEqual([1, 3, 4]);
});

test('a copy that was put back is in recovery until its generation is confirmed', async () => {
  await begin();
  await keeper?.stop();
  const former = ledger.generation;
  held = { generation: former, sequence: 99, confirmed: undefined };
  const begun = await begin();
  const { generation } = ledger;
  expect([mode.active, mode.since, generation === former]).toEqual([true, start, false]);
  expect(written.at(-1)).toMatchObject({ generation, state: 'Recovery', since: start });
  await expect(ledger.createRun({ run: aNewRun(), tasks: [] })).rejects.toMatchObject({
    code: 'RecoveryActive',
  });
  held = { generation, sequence: 99, confirmed: former };
  await begun.tick();
  expect(mode.active).toBe(true);
  held = { generation, sequence: 99, confirmed: generation };
  await begun.tick();
  expect(mode.active).toBe(false);
  await expect.poll(() => written.at(-1)?.state).toBe('Normal');
  await expect.poll(() => events).toEqual(['RecoveryActive', 'RecoveryEnded']);
  const audit = await ledger.listAudit({ limit: 10, object: 'Ledger' });
  expect(audit.map(({ action }) => action)).toEqual(['LeaveRecovery', 'EnterRecovery']);
});

test('a recovery that was under way when the operator ended goes on', async () => {
  await begin();
  await mode.enter('A runner knows better.');
  await keeper?.stop();
  await begin();
  expect([mode.active, mode.reason]).toEqual([true, 'A runner knows better.']);
  await mode.enter('Another reason.');
  expect(mode.reason).toBe('A runner knows better.');
});
