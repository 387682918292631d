import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { planRun } from '../../planner/plan.ts';
import type { Ledger } from '../ledger.ts';
import { terminalStates } from '../records.ts';
import { openTestLedger, type TestLedger } from '../suite/engine.ts';
import { openMemoryLedger } from '../suite/memory.ts';
import { perform, type Action } from './actions.ts';
import { checkStep } from './check.ts';
import {
  createWorld,
  dayMs,
  graceMs,
  killGraceMs,
  leaseMs,
  queueMs,
  snapshot,
  type Copies,
  type World,
} from './world.ts';

let opened: TestLedger;
let ledger: Ledger;
beforeAll(async () => {
  opened = await openTestLedger();
  ({ ledger } = opened);
});
afterAll(() => opened.end());

const runner = fc.nat({ max: 1 });
/** The fifth is the newest probe. */
const task = fc.nat({ max: 4 });
const outcome = fc.constantFrom('Succeeded', 'Failed', 'TimedOut', 'Cancelled');
const exitCode = fc.constantFrom(1, 2);
const of = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);

const ordinary: fc.WeightedArbitrary<Action>[] = [
  { weight: 4, arbitrary: fc.record({ kind: of('plan') }) },
  { weight: 1, arbitrary: fc.record({ kind: of('cancel', 'pause', 'resume') }) },
  { weight: 24, arbitrary: fc.record({ kind: of('advance'), runner, task, outcome, exitCode }) },
  { weight: 8, arbitrary: fc.record({ kind: of('offer', 'accept', 'start'), runner, task }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: of('acceptAsFormer', 'startUnheard', 'release'), runner, task }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: of('finish', 'finishUnheard'), runner, task, outcome, exitCode }),
  },
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
  {
    weight: 5,
    arbitrary: fc.record({ kind: of('renew', 'restart', 'crash', 'restartWithoutJournal'), runner }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: of('decide'),
      task,
      decision: of('Succeeded', 'Failed', 'Retry', 'Release'),
      back: fc.constantFrom(0, 0, 1),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: of('pass'),
      ms: fc.constantFrom(1, 9_999, 10_000, killGraceMs, leaseMs, graceMs, queueMs),
      swept: fc.boolean(),
    }),
  },
];
/** What happens once a copy was put back: runners come again, or do not, and a person decides. */
const aftermath: fc.Arbitrary<Action> = fc.oneof(
  ...ordinary,
  { weight: 8, arbitrary: fc.record({ kind: of('restart', 'crash'), runner }) },
  {
    weight: 12,
    arbitrary: fc.record({ kind: of('decide'), task, decision: of('Retry'), back: fc.constant(0) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: of('copy', 'putBack', 'confirm') }) },
);
const restored: fc.Arbitrary<Action[]> = fc
  .tuple(
    fc.array(fc.oneof(...ordinary), { minLength: 5, maxLength: 30 }),
    fc.array(fc.oneof(...ordinary), { minLength: 5, maxLength: 30 }),
    fc.array(aftermath, { maxLength: 10 }),
    fc.array(aftermath, { minLength: 20, maxLength: 40 }),
  )
  .map(([before, forgotten, recovery, after]) => [
    ...before,
    { kind: 'copy' },
    ...forgotten,
    { kind: 'putBack' },
    ...recovery,
    { kind: 'confirm' },
    ...after,
  ]);

const recoveryActions: ReadonlySet<Action['kind']> = new Set([
  'restart',
  'crash',
  'restartWithoutJournal',
  'confirm',
]);

const step = async (world: World, next: Action, copies?: Copies): Promise<void> => {
  const before = await snapshot(world);
  const wasRecovering = world.isRecovering;
  const begun = world.starts.length;
  await perform(world, next, copies);
  // What is put back has nothing to do with what was there before.
  if (next.kind === 'putBack') return;
  await checkStep(world, {
    before,
    after: await snapshot(world),
    graceMs,
    sweptAt: next.kind === 'pass' && next.swept ? world.now : undefined,
    mayJump: wasRecovering && recoveryActions.has(next.kind),
    begun,
  });
};

/** Every state that waits is left by time alone: a stuck run cannot exist. A person has to end a recovery. */
const outlast = async (world: World): Promise<void> => {
  await step(world, { kind: 'confirm' });
  const waits = [queueMs, leaseMs, graceMs, queueMs, leaseMs, graceMs, 7 * dayMs, 7 * dayMs];
  for (const ms of waits) {
    await step(world, { kind: 'pass', ms, swept: true });
    await step(world, { kind: 'plan' });
  }
  await step(world, { kind: 'pass', ms: queueMs, swept: true });
  await step(world, { kind: 'plan' });
  const { run, tasks } = await snapshot(world);
  expect(tasks.filter(({ state }) => !terminalStates.has(state))).toEqual([]);
  expect(run.state).not.toBe('Running');
  expect(planRun({ run, tasks, now: world.now, queueTimeoutMs: queueMs })).toBeUndefined();
};

const live = async (world: World, actions: readonly Action[], copies?: Copies): Promise<Set<string>> => {
  const reached = new Set<string>();
  await step(world, { kind: 'plan' });
  for (const next of actions) {
    await step(world, next, copies);
    for (const { state } of world.told) reached.add(state);
  }
  await outlast(world);
  return reached;
};

const limits = { interruptAfterTimeLimit: 170_000, markInterruptAsFailure: true };

test('no sequence of commands, lost answers, restarts and clones breaks the invariants of dispatch', async () => {
  const reached = new Set<string>();
  const actions = fc.array(fc.oneof(...ordinary), { minLength: 30, maxLength: 100 });
  await fc.assert(
    fc.asyncProperty(actions, async (sequence) => {
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
  const memory = openMemoryLedger();
  let recovered = 0;
  await fc.assert(
    fc.asyncProperty(restored, async (sequence) => {
      const world = await createWorld(memory.ledger);
      await live(world, sequence, memory);
      recovered += world.starts.some(({ ref }) => ref.epoch > 1000) ? 1 : 0;
    }),
    { numRuns: 100, ...limits },
  );
  // Work went on after some of them.
  expect(recovered).toBeGreaterThan(0);
  memory.close();
}, 180_000);
