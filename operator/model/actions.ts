import { attemptKey, type AttemptRef } from '@outrider/protocol';
import type { TaskRecord } from '../ledger/records.ts';
import { planRun } from '../planner/plan.ts';
import { applyPlan, cancel, decide, makePlan, offer, sweep, type Model } from './operator.ts';
import {
  arrive,
  endWithLease,
  fates,
  finish,
  release,
  restart,
  runnerAt,
  send,
  start,
  takeOffer,
  tellResult,
  type Fate,
} from './runner.ts';
import { graceMs, killGraceMs, queueMs, type Entry } from './world.ts';

/** One thing that may happen next; plain data, so that a counterexample can be read. */
export type Action =
  | { readonly do: 'latePlan' }
  | { readonly do: 'offer'; readonly runner: number; readonly task: string; readonly fate: Fate | 'unheard' }
  | {
      readonly do: 'accept' | 'start' | 'succeed' | 'fail' | 'release' | 'tellResult';
      readonly runner: number;
      readonly ref: AttemptRef;
      readonly fate: Fate;
    }
  | { readonly do: 'poll'; readonly runner: number; readonly fate: Fate }
  | { readonly do: 'arrive'; readonly index: number }
  | { readonly do: 'crash' | 'restart' | 'restartWithoutJournal'; readonly runner: number }
  | { readonly do: 'pass'; readonly to: number }
  | { readonly do: 'sweep' | 'cancel' }
  | { readonly do: 'decide'; readonly ref: AttemptRef; readonly decision: 'Succeeded' | 'Failed' | 'Retry' };

const fatesFor = (model: Model): readonly Fate[] =>
  model.world.budget.faults > 0 ? fates : (['answered'] as const);

/** Runners are alike: the first offer of all goes to the first one. */
const takers = ({ world }: Model, tasks: readonly TaskRecord[]): number[] => {
  const alive = [...world.runners.keys()].filter((index) => world.runners[index]?.dead === false);
  return tasks.every(({ epoch }) => epoch === 0) ? alive.slice(0, 1) : alive;
};

const offers = (model: Model, tasks: readonly TaskRecord[]): Action[] =>
  tasks
    .filter(({ state, cancelRequested }) => state === 'Ready' && !cancelRequested)
    .flatMap(({ id }) =>
      takers(model, tasks).flatMap((runner): Action[] => {
        const unheard = model.world.budget.faults > 0 ? (['unheard'] as const) : [];
        return [...fatesFor(model), ...unheard].map((fate) => ({ do: 'offer', runner, task: id, fate }));
      }),
    );

const verbs: Readonly<
  Record<Entry['state'], readonly ('accept' | 'start' | 'succeed' | 'fail' | 'release' | 'tellResult')[]>
> = {
  Accepted: ['accept'],
  Confirmed: ['start', 'release'],
  Releasing: ['release'],
  Started: ['succeed', 'fail'],
  Finished: ['tellResult'],
};

const ofRunners = (model: Model): Action[] =>
  model.world.runners.flatMap((runner, index): Action[] => {
    const { budget } = model.world;
    if (runner.dead)
      return [
        { do: 'restart', runner: index },
        { do: 'restartWithoutJournal', runner: index },
      ];
    const own = runner.journal.flatMap((entry) =>
      verbs[entry.state].flatMap((verb) =>
        fatesFor(model).map((fate): Action => ({ do: verb, runner: index, ref: entry.ref, fate })),
      ),
    );
    const polls =
      budget.polls > 0 ? fatesFor(model).map((fate): Action => ({ do: 'poll', runner: index, fate })) : [];
    const crash: Action[] = budget.crashes > 0 ? [{ do: 'crash', runner: index }] : [];
    return [...own, ...polls, ...crash];
  });

const unknownUntil = (task: TaskRecord): (number | null)[] => {
  const since = task.unknownSince ?? 0;
  return [since + graceMs, Math.max(since, task.leaseExpiresAt ?? 0) + killGraceMs];
};

/** What is due when, by state; the other states have `deadline`, or none. */
const due: Partial<Record<TaskRecord['state'], (task: TaskRecord) => (number | null)[]>> = {
  Ready: ({ queueDeadline, notBefore }) => [queueDeadline, notBefore],
  Offered: ({ offerExpiresAt }) => [offerExpiresAt],
  Claimed: ({ leaseExpiresAt }) => [leaseExpiresAt],
  Running: ({ leaseExpiresAt }) => [leaseExpiresAt],
  Unknown: unknownUntil,
};

const deadlinesOf = (task: TaskRecord): (number | null)[] => due[task.state]?.(task) ?? [task.deadline];

/** To the next moment at which something is due. */
const passes = ({ world }: Model, tasks: readonly TaskRecord[]): Action[] => {
  if (world.budget.passes === 0) return [];
  const ahead = tasks.flatMap(deadlinesOf).filter((at): at is number => at !== null && at > world.now);
  return ahead.length === 0 ? [] : [{ do: 'pass', to: Math.min(...ahead) }];
};

const isDue = (now: number, tasks: readonly TaskRecord[]): boolean =>
  tasks.flatMap(deadlinesOf).some((at) => at !== null && at <= now);

const decisionsOn = ({ world }: Model, tasks: readonly TaskRecord[]): Action[] =>
  world.budget.decisions === 0
    ? []
    : tasks
        .filter(({ state }) => state === 'AwaitingHuman')
        .flatMap(({ id, epoch }) =>
          (['Succeeded', 'Failed', 'Retry'] as const).map((decision): Action => ({
            do: 'decide',
            ref: { task: id, epoch },
            decision,
          })),
        );

/** Everything that may happen now. */
export const enabled = async (model: Model): Promise<Action[]> => {
  const { memory, world } = model;
  const found = await memory.commands.readRun(memory.tx, world.runUid);
  const tasks = found?.tasks ?? [];
  return [
    ...(world.budget.faults > 0 && world.net.length === 0 ? [{ do: 'latePlan' } as const] : []),
    ...offers(model, tasks),
    ...ofRunners(model),
    ...world.net.map((_, index): Action => ({ do: 'arrive', index })),
    ...(isDue(world.now, tasks) ? [{ do: 'sweep' } as const] : []),
    ...passes(model, tasks),
    ...(world.budget.cancels > 0 ? [{ do: 'cancel' } as const] : []),
    ...decisionsOn(model, tasks),
  ];
};

/** The planner follows every commit at once. */
export const planAll = async (model: Model): Promise<void> => {
  for (let plan = await makePlan(model); plan !== undefined; plan = await makePlan(model))
    await applyPlan(model, plan);
};

/** A plan that was made for a run that is cancelled arrives when the world has gone on. */
const performLatePlan = async (model: Model): Promise<void> => {
  const { memory, world } = model;
  const found = await memory.commands.readRun(memory.tx, world.runUid);
  world.budget.faults -= 1;
  if (found === undefined) return;
  const run = { ...found.run, cancelRequested: true };
  const plan = planRun({ tasks: found.tasks, run, now: world.now, queueTimeoutMs: queueMs });
  if (plan !== undefined) world.net.push({ kind: 'Plan', plan });
};

const performOffer = async (model: Model, action: Action & { do: 'offer' }): Promise<void> => {
  const ref = await offer(model, action.runner, action.task);
  if (action.fate === 'unheard') model.world.budget.faults -= 1;
  else if (ref !== undefined) await takeOffer(model, { runner: action.runner, ref }, action.fate);
};

const performPoll = async (model: Model, action: Action & { do: 'poll' }): Promise<void> => {
  const { session, journal } = runnerAt(model, action.runner);
  model.world.budget.polls -= 1;
  const held = journal.map(({ ref }) => ref);
  await send(model, { kind: 'Poll', runner: action.runner, session, held }, action.fate);
};

const performTellResult = async (model: Model, index: number, ref: AttemptRef, fate: Fate): Promise<void> => {
  const entry = runnerAt(model, index).journal.find((each) => attemptKey(each.ref) === attemptKey(ref));
  await tellResult(model, index, { ref, outcome: entry?.outcome ?? 'Failed' }, fate);
};

const performOwn = async (
  model: Model,
  action: Action & { do: 'accept' | 'start' | 'succeed' | 'fail' | 'release' | 'tellResult' },
): Promise<void> => {
  const { runner, ref, fate } = action;
  if (action.do === 'accept') return takeOffer(model, { runner, ref }, fate);
  if (action.do === 'start') return start(model, runner, ref, fate);
  if (action.do === 'release') return release(model, runner, ref, fate);
  if (action.do === 'tellResult') return performTellResult(model, runner, ref, fate);
  return finish(model, runner, { ref, outcome: action.do === 'succeed' ? 'Succeeded' : 'Failed' }, fate);
};

const performOnWorld = async (model: Model, action: Action): Promise<void> => {
  const { world } = model;
  if (action.do === 'crash') {
    runnerAt(model, action.runner).dead = true;
    world.budget.crashes -= 1;
  } else if (action.do === 'pass') {
    world.now = action.to;
    world.budget.passes -= 1;
    endWithLease(model);
  } else if (action.do === 'cancel') {
    world.budget.cancels -= 1;
    await cancel(model);
  } else if (action.do === 'decide') {
    await decide(model, { ...action.ref, decision: action.decision });
    world.budget.decisions -= 1;
  }
};

const performOne = async (model: Model, action: Action): Promise<void> => {
  if (action.do === 'latePlan') return performLatePlan(model);
  if (action.do === 'offer') return performOffer(model, action);
  if (action.do === 'poll') return performPoll(model, action);
  if (action.do === 'arrive') return arrive(model, action.index);
  if (action.do === 'sweep') return sweep(model);
  if (action.do === 'restart') return restart(model, action.runner);
  if (action.do === 'restartWithoutJournal') return restart(model, action.runner, { withJournal: false });
  if ('ref' in action && 'fate' in action) return performOwn(model, action);
  return performOnWorld(model, action);
};

export const perform = async (model: Model, action: Action): Promise<void> => {
  await performOne(model, action);
  await planAll(model);
};
