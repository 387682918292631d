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

const limits = { interruptAfterTimeLimit: 170_000, markInterruptAsFailure: true };

test('no sequence of commands, lost answers, restarts and clones breaks the invariants of dispatch', async () => {
  const reached = new Set<string>();
  await fc.assert(
    fc.asyncProperty(lives, async (sequence) => {
      for (const state of await live(await createWorld(ledger), sequence)) reached.add(state);
    }),
    { numRuns: 100, ...limits },
  );
  // The sequences are worth something only if they reach every state.
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
}, 180_000);

test('no copy of the ledger that is put back makes anything run again by itself', async () => {
  let recovered = 0;
  await fc.assert(
    fc.asyncProperty(restored, async (sequence) => {
      const memory = openMemoryLedger();
      const world = await createWorld(memory.ledger);
      await live(world, sequence, memory);
      recovered += world.starts.some(({ ref }) => ref.epoch > 1000) ? 1 : 0;
      memory.close();
    }),
    { numRuns: 100, ...limits },
  );
  // Work went on after some of them.
  expect(recovered).toBeGreaterThan(0);
}, 180_000);
