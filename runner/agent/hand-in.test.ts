import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { paths } from '@outrider/protocol';
import { complete, ref as attemptRef, record } from '../journal/fixture.ts';
import { openJournal } from '../journal/journal.ts';
import { createWorkbench, eventually, expectDrained, type Workbench } from './testing/bench.ts';

let bench: Workbench;
afterEach(() => bench.close());

/** So many acknowledged results in the journal, and one attempt that is still open. */
const leaveBehind = async (count: number): Promise<void> => {
  const journal = await openJournal({ folder: join(bench.stateDir, 'journal') });
  for (let i = 0; i < count; i += 1) await complete(journal, attemptRef(`done-${i}`), `line ${i}\n`);
  await journal.accepted(attemptRef('open'), record);
  await journal.close();
};

test('a restored ledger is handed every acknowledged result in batches of 64, repeated until each is answered', async () => {
  bench = await createWorkbench();
  await leaveBehind(150);
  bench.operator.recovering = true;
  bench.operator.fault = (path, n) => (path === paths.recovery && n === 2 ? 'lose' : undefined);
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.operator.recoveries.at(-1)?.complete).toBe(true));
  const { recoveries } = bench.operator;
  expect(recoveries.map(({ items, complete: last }) => [items.length, last])).toEqual([
    [64, false],
    [64, false],
    [64, false],
    [22, true],
  ]);
  expect(new Set(recoveries.flatMap(({ items }) => items.map(({ task }) => task))).size).toBe(150);
  expect(recoveries[0]?.items[0]).toMatchObject({
    ...attemptRef('done-0'),
    generation: 'g1',
    result: { outcome: 'Succeeded', exitCode: 0 },
  });
  await eventually(() =>
    expect(bench.logger.lines).toContain(
      'the operator restores its ledger: kept results were handed in {"results":150,"accepted":150}',
    ),
  );
  expectDrained(await bench.drain());
});

test('a runner without kept results says so with one empty batch', async () => {
  bench = await createWorkbench();
  bench.operator.recovering = true;
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.operator.recoveries).toMatchObject([{ items: [], complete: true }]));
  expectDrained(await bench.drain());
});

test('nothing is handed in to an operator that does not restore', async () => {
  bench = await createWorkbench();
  await leaveBehind(2);
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.operator.polls.length).toBeGreaterThan(0));
  expectDrained(await bench.drain());
  expect(bench.operator.recoveries).toEqual([]);
});
