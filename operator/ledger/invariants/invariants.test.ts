import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ledger } from '../ledger.ts';
import { openTestLedger, type TestLedger } from '../suite/engine.ts';
import { openMemoryLedger } from '../suite/memory.ts';
import { live } from './live.ts';
import { lives, restored } from './sequences.ts';
import { createWorld } from './world.ts';

let opened: TestLedger;
let ledger: Ledger;
beforeAll(async () => {
  opened = await openTestLedger();
  ({ ledger } = opened);
});
afterAll(() => opened.end());

/** Of one round; each sequence is a hundred commits or so, which a slow disk makes long. What ran until then counts. */
const limits = { interruptAfterTimeLimit: 60_000 };

/** The sequences are worth something only if they come everywhere: what chance has left out is looked for further. */
const roundsUntil = async (round: () => Promise<void>, enough: () => boolean): Promise<void> => {
  for (let rounds = 0; rounds === 0 || (rounds < 10 && !enough()); rounds++) await round();
};

test('no sequence of commands, lost answers, restarts and clones breaks the invariants of dispatch', async () => {
  const reached = new Set<string>();
  const property = fc.asyncProperty(lives, async (sequence) => {
    for (const state of await live(await createWorld(ledger), sequence)) reached.add(state);
  });
  await roundsUntil(
    () => fc.assert(property, { numRuns: 100, ...limits }),
    () => reached.size === 13,
  );
  expect([...reached].sort()).toEqual([
    'AwaitingHuman',
    'Blocked',
    'Cancelled',
    'Claimed',
    'Failed',
    'Lost',
    'Offered',
    'Ready',
    'Running',
    'Succeeded',
    'TimedOut',
    'Unknown',
    'Verifying',
  ]);
}, 700_000);

test('no copy of the ledger that is put back makes anything run again by itself', async () => {
  let recovered = 0;
  const property = fc.asyncProperty(restored, async (sequence) => {
    const memory = openMemoryLedger();
    const world = await createWorld(memory.ledger);
    await live(world, sequence, memory);
    recovered += world.starts.some(({ ref }) => ref.epoch > 1000) ? 1 : 0;
    memory.close();
  });
  await roundsUntil(
    () => fc.assert(property, { numRuns: 100, ...limits }),
    () => recovered > 0,
  );
  // Work went on after some of them.
  expect(recovered).toBeGreaterThan(0);
}, 700_000);
