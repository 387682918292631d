import { deepStrictEqual, notStrictEqual } from 'node:assert';
import { planRun } from '../../planner/plan.ts';
import { terminalStates, type TaskState } from '../records.ts';
import { perform, type Action } from './actions.ts';
import { checkStep } from './check.ts';
import { dayMs, graceMs, leaseMs, queueMs, snapshot, type Copies, type World } from './world.ts';

const recoveryActions: ReadonlySet<Action['kind']> = new Set([
  'restart',
  'crash',
  'restartWithoutJournal',
  'confirm',
]);

/** Performs one action and checks what it did. @returns The states that tasks came to by it. */
const step = async (world: World, next: Action, copies?: Copies): Promise<TaskState[]> => {
  const before = await snapshot(world);
  const wasRecovering = world.isRecovering;
  const begun = world.starts.length;
  await perform(world, next, copies);
  // What is put back has nothing to do with what was there before.
  if (next.kind === 'putBack') return [];
  await checkStep(world, {
    before,
    after: await snapshot(world),
    graceMs,
    sweptAt: next.kind === 'pass' && next.swept ? world.now : undefined,
    mayJump: wasRecovering && recoveryActions.has(next.kind),
    begun,
  });
  return world.told.map(({ state }) => state);
};

const wait = (ms: number): Action[] => [{ kind: 'pass', ms, swept: true }, { kind: 'plan' }];
const waits = [queueMs, leaseMs, graceMs, queueMs, leaseMs, graceMs, 7 * dayMs, 7 * dayMs, queueMs];
/** A person has to end a recovery; after that time alone ends every state that waits. */
const outlast: readonly Action[] = [{ kind: 'confirm' }, ...waits.flatMap(wait)];

const checkOver = async (world: World): Promise<void> => {
  const { run, tasks } = await snapshot(world);
  const open = tasks.filter(({ state }) => !terminalStates.has(state));
  deepStrictEqual(open, [], 'invariant 6: time alone does not end every task');
  notStrictEqual(run.state, 'Running', 'invariant 6: the run does not end');
  const more = planRun({ run, tasks, now: world.now, queueTimeoutMs: queueMs });
  deepStrictEqual(more, undefined, 'a run that is over is planned again');
};

/**
 * Performs the actions, and then lets time pass until everything is over; throws when an invariant is broken.
 * @returns Every state that a task came to.
 */
export const live = async (
  world: World,
  actions: readonly Action[],
  copies?: Copies,
): Promise<Set<TaskState>> => {
  const reached = new Set<TaskState>();
  for (const next of [{ kind: 'plan' } as const, ...actions, ...outlast])
    for (const state of await step(world, next, copies)) reached.add(state);
  await checkOver(world);
  return reached;
};
