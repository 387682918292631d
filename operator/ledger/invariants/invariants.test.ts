import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ledger } from '../ledger.ts';
import { terminalStates } from '../records.ts';
import { openTestLedger, type TestLedger } from '../suite/engine.ts';
import { perform, type Action } from './actions.ts';
import { checkStep } from './check.ts';
import { createWorld, graceMs, leaseMs, queueMs, snapshot, type World } from './world.ts';

let opened: TestLedger;
let ledger: Ledger;
beforeAll(async () => {
  opened = await openTestLedger();
  ({ ledger } = opened);
});
afterAll(() => opened.end());

const runner = fc.nat({ max: 1 });
const task = fc.nat({ max: 2 });
const outcome = fc.constantFrom('Succeeded', 'Failed', 'TimedOut', 'Cancelled');
const of = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: of('plan') }) },
  { weight: 1, arbitrary: fc.record({ kind: of('cancel') }) },
  { weight: 16, arbitrary: fc.record({ kind: of('advance'), runner, task, outcome }) },
  { weight: 8, arbitrary: fc.record({ kind: of('offer', 'accept', 'start'), runner, task }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: of('acceptAsFormer', 'startUnheard', 'release'), runner, task }),
  },
  { weight: 3, arbitrary: fc.record({ kind: of('finish', 'finishUnheard'), runner, task, outcome }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: of('tellAgain', 'tellOtherwise', 'tellAsFormer'), runner, task }),
  },
  { weight: 3, arbitrary: fc.record({ kind: of('markUnknown', 'releaseStarted'), runner, task }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: of('tellStale'),
      runner,
      task,
      epoch: fc.integer({ min: 1, max: 4 }),
      report: of('Started', 'Released', 'Result'),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: of('renew', 'restart', 'restartWithoutJournal'), runner }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: of('pass'),
      ms: fc.constantFrom(1, 9_999, 10_000, leaseMs, graceMs, queueMs),
      swept: fc.boolean(),
    }),
  },
);

const step = async (world: World, next: Action): Promise<void> => {
  const before = await snapshot(world);
  await perform(world, next);
  const after = await snapshot(world);
  checkStep(world, {
    before,
    after,
    graceMs,
    sweptAt: next.kind === 'pass' && next.swept ? world.now : undefined,
  });
};

test('no sequence of commands, lost answers, restarts and clones breaks the invariants of dispatch', async () => {
  const reached = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 30, maxLength: 80 }), async (actions) => {
      const world = await createWorld(ledger);
      await step(world, { kind: 'plan' });
      for (const next of actions) {
        await step(world, next);
        for (const { state } of world.told) reached.add(state);
      }
      // Whatever state it is left in, time alone ends it: a stuck run cannot exist.
      for (const ms of [queueMs, leaseMs, graceMs]) await step(world, { kind: 'pass', ms, swept: true });
      const { tasks } = await snapshot(world);
      expect(tasks.filter(({ state }) => !terminalStates.has(state))).toEqual([]);
    }),
    { numRuns: 150, interruptAfterTimeLimit: 90_000, markInterruptAsFailure: true },
  );
  // The sequences are worth something only if they reach every state.
  expect([...reached].sort()).toEqual(
    [
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
    ].sort(),
  );
}, 120_000);
