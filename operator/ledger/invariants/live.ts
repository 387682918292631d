import { deepStrictEqual, notStrictEqual } from 'node:assert';
import { planRun } from '../../planner/plan.ts';
import { terminalStates } from '../records.ts';
import { perform, type Action } from './actions.ts';
import { checkStep } from './check.ts';
import { dayMs, graceMs, leaseMs, queueMs, snapshot, type Copies, type World } from './world.ts';

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
  const open = tasks.filter(({ state }) => !terminalStates.has(state));
  deepStrictEqual(open, [], 'invariant 6: time alone does not end every task');
  notStrictEqual(run.state, 'Running', 'invariant 6: the run does not end');
  const more = planRun({ run, tasks, now: world.now, queueTimeoutMs: queueMs });
  deepStrictEqual(more, undefined, 'a run that is over is planned again');
};

/** Performs the actions, and then lets time pass until everything is over; throws when an invariant is broken. */
export const live = async (
  world: World,
  actions: readonly Action[],
  copies?: Copies,
): Promise<Set<string>> => {
  const reached = new Set<string>();
  await step(world, { kind: 'plan' });
  for (const next of actions) {
    await step(world, next, copies);
    for (const { state } of world.told) reached.add(state);
  }
  await outlast(world);
  return reached;
};
