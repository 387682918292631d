import { attemptKey, type AttemptAnswer, type AttemptRef, type InventoryAnswer } from '@outrider/protocol';
import type { Plan, TaskRecord } from '../ledger/records.ts';
import { planRun } from '../planner/plan.ts';
import type { Memory } from './memory.ts';
import {
  graceMs,
  killGraceMs,
  leaseMs,
  offerMs,
  queueMs,
  refOf,
  type Message,
  type ModelRunner,
  type World,
} from './world.ts';

/** The operator's part of each exchange: the production planner and ledger, in the order in which the dispatcher calls them. */
export interface Model {
  readonly memory: Memory;
  world: World;
}

const runnerOf = ({ world }: Model, index: number): ModelRunner => {
  const runner = world.runners[index];
  if (runner === undefined) throw new Error(`no runner ${index}`);
  return runner;
};

const speakerOf = (runner: ModelRunner, session: string) => ({
  clientId: runner.clientId,
  runnerName: runner.clientId,
  session,
});

/** Undefined when nothing must happen. */
export const makePlan = async ({ memory, world }: Model): Promise<Plan | undefined> => {
  const found = await memory.commands.readRun(memory.tx, world.runUid);
  return found && planRun({ ...found, now: world.now, queueTimeoutMs: queueMs });
};

export const applyPlan = async ({ memory, world }: Model, plan: Plan): Promise<void> => {
  const before = await memory.commands.readRun(memory.tx, world.runUid);
  const { applied } = await memory.commands.applyPlan(memory.tx, plan, world.now);
  if (applied && before?.run.revision !== plan.revision)
    throw new Error(
      `invariant 9: a plan for revision ${plan.revision} was applied to ${before?.run.revision}`,
    );
};

/** True when it was offered; the offer travels with the answer to a poll. */
export const offer = async (model: Model, index: number, task: string): Promise<AttemptRef | undefined> => {
  const { memory, world } = model;
  const runner = runnerOf(model, index);
  const read = await memory.commands.readTask(memory.tx, task);
  if (read === undefined) return undefined;
  const { tasks } = await memory.commands.offerTasks(memory.tx, {
    to: speakerOf(runner, runner.session),
    tasks: [{ task, epoch: read.epoch }],
    now: world.now,
    expiresAt: world.now + offerMs,
  });
  const offered = tasks.find(({ id, state }) => id === task && state === 'Offered');
  return offered && { task, epoch: offered.epoch };
};

const onAccept = async (
  model: Model,
  message: Message & { kind: 'Accept' },
): Promise<readonly AttemptAnswer[]> => {
  const { memory, world } = model;
  const before = await memory.commands.readTask(memory.tx, message.ref.task);
  const { answers } = await memory.commands.acceptAttempts(memory.tx, {
    by: speakerOf(runnerOf(model, message.runner), message.session),
    attempts: [message.ref],
    now: world.now,
    leaseExpiresAt: world.now + leaseMs,
  });
  const isLate = before?.state === 'Offered' && (before.offerExpiresAt ?? 0) <= world.now;
  if (isLate && answers[0]?.status !== 'Refused')
    throw new Error(`invariant 6: the offer of ${attemptKey(message.ref)} outlived its deadline`);
  return answers;
};

const onReport = async (
  model: Model,
  message: Message & { kind: 'Report' },
): Promise<readonly AttemptAnswer[]> => {
  const { memory, world } = model;
  const { answers } = await memory.commands.recordReports(memory.tx, {
    by: speakerOf(runnerOf(model, message.runner), message.session),
    reports: [message.report],
    now: world.now,
  });
  const [answer] = answers;
  const { result } = message.report;
  if (result !== undefined && answer !== undefined && answer.status !== 'Refused') {
    const key = attemptKey(message.report);
    const content = JSON.stringify(result);
    const before = world.results[key];
    if ((answer.status === 'Recorded') !== (before === undefined))
      throw new Error(`invariant 5: the result of ${key} was answered ${answer.status}`);
    if (before !== undefined && before !== content)
      throw new Error(`invariant 5: two results of ${key} were taken`);
    world.results[key] = content;
  }
  return answers;
};

const isHeldOpen = (runner: ModelRunner, { runner: holder, state }: TaskRecord): boolean =>
  holder === runner.clientId && (state === 'Claimed' || state === 'Running');

/** Those that were not listed twice in a row. */
const countMissing = (
  runner: ModelRunner,
  tasks: readonly TaskRecord[],
  held: ReadonlySet<string>,
): AttemptRef[] =>
  tasks.flatMap((task) => {
    const ref = { task: task.id, epoch: task.epoch };
    const key = attemptKey(ref);
    if (!isHeldOpen(runner, task) || held.has(key)) delete runner.unlisted[key];
    else runner.unlisted[key] = (runner.unlisted[key] ?? 0) + 1;
    return (runner.unlisted[key] ?? 0) >= 2 ? [ref] : [];
  });

/** Nobody vouched for them. */
const checkUnlisted = (
  before: readonly TaskRecord[],
  after: readonly TaskRecord[],
  held: ReadonlySet<string>,
): void => {
  const leases = new Map(before.map(({ id, leaseExpiresAt }) => [id, leaseExpiresAt]));
  for (const { id, epoch, leaseExpiresAt } of after)
    if (!held.has(attemptKey({ task: id, epoch })) && leases.get(id) !== leaseExpiresAt)
      throw new Error(`invariant 6: ${id} was renewed by a poll that does not list it`);
};

/** As reviewHeld has it: listed ones are renewed, those that were not listed twice are Unknown. */
const onPoll = async (model: Model, message: Message & { kind: 'Poll' }): Promise<readonly AttemptRef[]> => {
  const { memory, world } = model;
  const runner = runnerOf(model, message.runner);
  const before = await memory.commands.readRun(memory.tx, world.runUid);
  const { lost } = await memory.commands.renewLeases(memory.tx, {
    by: speakerOf(runner, message.session),
    attempts: message.held.map(refOf),
    leaseExpiresAt: world.now + leaseMs,
  });
  const found = await memory.commands.readRun(memory.tx, world.runUid);
  const held = new Set(message.held.map(attemptKey));
  checkUnlisted(before?.tasks ?? [], found?.tasks ?? [], held);
  const attempts = countMissing(runner, found?.tasks ?? [], held);
  if (attempts.length > 0)
    await memory.commands.markUnknown(memory.tx, { attempts, now: world.now, reason: 'NotListed' });
  return lost;
};

/** What an attempt is told: refused ones with `ok: false`. */
export type Told = readonly { readonly ref: AttemptRef; readonly ok: boolean }[];

const toTold = (answers: readonly AttemptAnswer[]): Told =>
  answers.map(({ status, ...ref }) => ({ ref: refOf(ref), ok: status !== 'Refused' }));

/** A refused call is an answer too: undefined. */
export const receive = async (model: Model, message: Message): Promise<Told | undefined> => {
  if (message.kind === 'Plan') {
    await applyPlan(model, message.plan);
    return undefined;
  }
  if (message.kind === 'Accept') return toTold(await onAccept(model, message));
  if (message.kind === 'Report') return toTold(await onReport(model, message));
  try {
    const lost = await onPoll(model, message);
    return lost.map((ref) => ({ ref: refOf(ref), ok: false }));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'SessionSuperseded') return undefined;
    throw error;
  }
};

/** A new session with the journal's inventory. */
export const openSession = async (model: Model, index: number): Promise<readonly InventoryAnswer[]> => {
  const { memory, world } = model;
  const runner = runnerOf(model, index);
  world.sessions += 1;
  runner.former = runner.session;
  runner.session = `session-${world.sessions}`;
  const state = {
    Accepted: 'Accepted',
    Confirmed: 'Accepted',
    Releasing: 'Accepted',
    Started: 'Started',
    Finished: 'Finished',
  } as const;
  const { answers } = await memory.commands.openSession(memory.tx, {
    by: speakerOf(runner, runner.session),
    inventory: runner.journal.map((entry) => ({
      ...refOf(entry.ref),
      generation: 'g1',
      state: state[entry.state],
    })),
    now: world.now,
    leaseExpiresAt: world.now + leaseMs,
    hello: {
      protocolVersion: 2,
      version: '0.1.0',
      startedAt: new Date(runner.process).toISOString(),
      capacity: 10,
      nodes: ['ssh-exec'],
    },
  });
  return answers;
};

export const sweep = async ({ memory, world }: Model): Promise<void> => {
  await memory.commands.expire(memory.tx, { now: world.now, graceMs, killGraceMs });
};

export const cancel = async ({ memory, world }: Model): Promise<void> => {
  await memory.commands.requestCancel(memory.tx, world.runUid, world.now);
};

export const decide = async (
  { memory, world }: Model,
  about: AttemptRef & { decision: 'Succeeded' | 'Failed' | 'Retry' },
): Promise<void> => {
  const index = world.tasks.indexOf(about.task);
  await memory.commands.decide(memory.tx, {
    uid: `decision-${world.budget.decisions}`,
    runUid: world.runUid,
    step: 'restart',
    target: `web-${index}`,
    epoch: about.epoch,
    decision: about.decision,
    by: 'alice',
    reason: 'looked',
    now: world.now,
  });
};
