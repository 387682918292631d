import fc from 'fast-check';
import type { Action } from './actions.ts';
import { graceMs, killGraceMs, leaseMs, queueMs } from './world.ts';

const runner = fc.nat({ max: 1 });
/** The fifth is the newest probe. */
const task = fc.nat({ max: 4 });
const outcome = fc.constantFrom('Succeeded', 'Failed', 'TimedOut', 'Cancelled');
const exitCode = fc.constantFrom(1, 2);
const of = <K extends string>(...kinds: K[]) => fc.constantFrom(...kinds);

const ordinary: readonly fc.WeightedArbitrary<Action>[] = [
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
/** What may happen in a run's life. */
export const lives: fc.Arbitrary<Action[]> = fc.array(fc.oneof(...ordinary), {
  minLength: 30,
  maxLength: 100,
});

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
/** A copy is made, some of what follows is forgotten, and the copy put back. */
export const restored: fc.Arbitrary<Action[]> = fc
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

/** One task alone, which is offered, started, lost and decided about. */
export const livesOf = (
  index: number,
  waits: readonly number[] = [10_000, leaseMs, graceMs],
): fc.Arbitrary<Action[]> => {
  const one = fc.constant(index);
  return fc.array(
    fc.oneof(
      { weight: 8, arbitrary: fc.record({ kind: of('advance'), runner, task: one, outcome, exitCode }) },
      { weight: 3, arbitrary: fc.record({ kind: of('markUnknown'), runner, task: one }) },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: of('pass'),
          ms: fc.constantFrom(...waits),
          swept: fc.constant(true),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({
          kind: of('decide'),
          task: one,
          decision: of('Retry'),
          back: fc.constantFrom(0, 1),
        }),
      },
    ),
    { minLength: 10, maxLength: 30 },
  );
};
