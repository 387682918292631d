import {
  attemptKey,
  type AttemptAnswer,
  type AttemptRef,
  type Outcome,
  type Report,
} from '@outrider/protocol';
import type { Speaker } from '../ledger.ts';
import type { PlannedTransition, TaskRecord } from '../records.ts';
import { result } from './builders.ts';
import {
  begin,
  graceMs,
  leaseMs,
  noteClaims,
  offerMs,
  openSession,
  queueMs,
  snapshot,
  type ModelRunner,
  type World,
} from './world.ts';

/** One thing that may happen; `runner`, `task` are indices, and what makes no sense at that moment does nothing. */
export type Action =
  | { kind: 'plan' | 'cancel' }
  | {
      kind: 'offer' | 'accept' | 'acceptAsFormer' | 'start' | 'startUnheard' | 'release';
      runner: number;
      task: number;
    }
  | { kind: 'finish' | 'finishUnheard'; runner: number; task: number; outcome: Outcome }
  | { kind: 'tellAgain' | 'tellOtherwise' | 'tellAsFormer' | 'markUnknown'; runner: number; task: number }
  | { kind: 'tellStale'; runner: number; task: number; epoch: number; report: Report['kind'] }
  | { kind: 'renew' | 'restart' | 'restartWithoutJournal'; runner: number }
  /** The next step of a task's ordinary life, whoever holds it. */
  | { kind: 'advance'; runner: number; task: number; outcome: Outcome }
  /** A defective runner takes back what it has reported as started. */
  | { kind: 'releaseStarted'; runner: number; task: number }
  /** Time goes on; with `swept`, the operator looks for what ran out. */
  | { kind: 'pass'; ms: number; swept: boolean };

/** The action of one kind. */
type ActionOf<K> = Action extends infer A
  ? A extends { kind: infer Kind }
    ? K extends Kind
      ? A
      : never
    : never
  : never;

const runnerOf = (world: World, index: number): ModelRunner => {
  const runner = world.runners[index];
  if (runner === undefined) throw new Error(`no runner ${index}`);
  return runner;
};

const taskOf = async (world: World, index: number): Promise<TaskRecord> => {
  const task = await world.ledger.readTask(world.taskIds[index] ?? '');
  if (task === undefined) throw new Error(`no task ${index}`);
  return task;
};

const entryOf = (world: World, { runner, task }: { runner: number; task: number }) =>
  [...runnerOf(world, runner).journal.values()].findLast(({ ref }) => ref.task === world.taskIds[task]);

/** Sends reports, and holds the ledger to what it answers: a recorded result is recorded once. */
const tell = async (world: World, by: Speaker, report: Report): Promise<AttemptAnswer | undefined> => {
  const { tasks, answers } = await world.ledger.recordReports({ by, reports: [report], now: world.now });
  world.told = tasks;
  const [answer] = answers;
  if (report.kind !== 'Result' || answer === undefined || answer.status === 'Refused') return answer;
  const key = attemptKey(report);
  const content = JSON.stringify(report.result);
  const before = world.results.get(key);
  if ((answer.status === 'Recorded') !== (before === undefined))
    throw new Error(`${key} was answered ${answer.status}`);
  if (before !== undefined && before !== content) throw new Error(`two results of ${key} were taken`);
  world.results.set(key, content);
  return answer;
};

const plan = async (world: World): Promise<void> => {
  const { run, tasks } = await snapshot(world);
  const transitions = tasks.flatMap(({ id, state }): PlannedTransition[] => {
    const isWaiting = state === 'Pending' || state === 'Ready' || state === 'Offered';
    if (run.cancelRequested && isWaiting)
      return [{ task: id, from: state, to: 'Cancelled', reason: 'Cancelled' }];
    if (state !== 'Pending') return [];
    return [{ task: id, from: state, to: 'Ready', queueDeadline: world.now + queueMs }];
  });
  const { tasks: after } = await world.ledger.applyPlan(
    { runUid: run.uid, revision: run.revision, transitions },
    world.now,
  );
  world.told = after;
};

const offer = async (world: World, runner: ModelRunner, index: number): Promise<void> => {
  const task = await taskOf(world, index);
  const { tasks } = await world.ledger.offerTasks({
    to: runner.speaker,
    tasks: [{ task: task.id, epoch: task.epoch }],
    now: world.now,
    expiresAt: world.now + offerMs,
  });
  world.told = tasks;
};

const accept = async (world: World, by: Speaker, ref: AttemptRef): Promise<readonly string[]> => {
  const before = await world.ledger.readTask(ref.task);
  const { tasks, answers } = await world.ledger.acceptAttempts({
    by,
    attempts: [ref],
    now: world.now,
    leaseExpiresAt: world.now + leaseMs,
  });
  world.told = tasks;
  const isLate = before?.state === 'Offered' && (before.offerExpiresAt ?? 0) <= world.now;
  if (isLate && answers[0]?.status !== 'Refused')
    throw new Error('invariant 6: an offer outlived its deadline');
  return noteClaims(world, by.session, answers);
};

const acceptOffer = async (world: World, runner: ModelRunner, index: number): Promise<void> => {
  const { id, epoch, runner: holder } = await taskOf(world, index);
  if (holder !== runner.clientId || epoch === 0) return;
  const ref = { task: id, epoch };
  const key = attemptKey(ref);
  const entry = runner.journal.get(key) ?? { ref, state: 'Accepted' as const };
  if (entry.state !== 'Accepted') return;
  runner.journal.set(key, entry);
  const claimed = await accept(world, runner.speaker, ref);
  if (claimed.includes(key)) entry.state = 'Confirmed';
  else runner.journal.delete(key);
};

/** The process before a restart saw the offer too. Should it be confirmed, it starts. */
const acceptAsFormer = async (world: World, runner: ModelRunner, index: number): Promise<void> => {
  const { id, epoch } = await taskOf(world, index);
  if (runner.former === undefined || epoch === 0) return;
  const ref = { task: id, epoch };
  const claimed = await accept(world, runner.former, ref);
  if (claimed.length > 0) begin(world, ref, runner.former.session);
};

const start = async (world: World, action: { kind: string; runner: number; task: number }): Promise<void> => {
  const entry = entryOf(world, action);
  const { speaker } = runnerOf(world, action.runner);
  if (entry?.state !== 'Confirmed') return;
  entry.state = 'Started';
  begin(world, entry.ref, speaker.session);
  if (action.kind === 'start') await tell(world, speaker, { ...entry.ref, kind: 'Started' });
};

const release = async (world: World, action: { runner: number; task: number }): Promise<void> => {
  const entry = entryOf(world, action);
  const runner = runnerOf(world, action.runner);
  if (entry === undefined || entry.state === 'Started' || entry.state === 'Finished') return;
  runner.journal.delete(attemptKey(entry.ref));
  await tell(world, runner.speaker, { ...entry.ref, kind: 'Released' });
};

const finish = async (
  world: World,
  action: { kind: string; runner: number; task: number; outcome: Outcome },
): Promise<void> => {
  const entry = entryOf(world, action);
  if (entry?.state !== 'Started') return;
  entry.state = 'Finished';
  const report: Report = { ...entry.ref, kind: 'Result', result: result(action.outcome) };
  if (action.kind === 'finish') await tell(world, runnerOf(world, action.runner).speaker, report);
};

/** The same result again, another one, or one by a superseded process. */
const tellResult = async (
  world: World,
  action: { kind: string; runner: number; task: number },
): Promise<void> => {
  const entry = entryOf(world, action);
  const { speaker, former } = runnerOf(world, action.runner);
  if (entry?.state !== 'Finished') return;
  const known = world.results.get(attemptKey(entry.ref));
  const same = known === undefined ? result('Succeeded') : JSON.parse(known);
  const told = action.kind === 'tellOtherwise' ? result('Failed', { message: 'another story' }) : same;
  const by = action.kind === 'tellAsFormer' ? former : speaker;
  const answer = by && (await tell(world, by, { ...entry.ref, kind: 'Result', result: told }));
  if (action.kind === 'tellAsFormer' && answer?.status !== 'Refused')
    throw new Error('a superseded session was heard');
};

const tellStale = async (world: World, action: ActionOf<'tellStale'>): Promise<void> => {
  const { speaker, journal } = runnerOf(world, action.runner);
  const ref = { task: world.taskIds[action.task] ?? '', epoch: action.epoch };
  // What it has in its journal it tells the truth about.
  if (journal.has(attemptKey(ref))) return;
  const isOwn = [...world.claims].some(
    ([key, session]) => key === attemptKey(ref) && session.startsWith(speaker.clientId),
  );
  if (isOwn) return;
  const content = action.report === 'Result' ? { result: result('Succeeded') } : {};
  await tell(world, speaker, { ...ref, kind: action.report, ...content });
};

const markUnknown = async (world: World, index: number): Promise<void> => {
  const { id, epoch } = await taskOf(world, index);
  const { tasks } = await world.ledger.markUnknown({
    attempts: [{ task: id, epoch }],
    now: world.now,
    reason: 'NotHeld',
  });
  world.told = tasks;
};

const renew = async (world: World, runner: ModelRunner): Promise<void> => {
  const attempts = Array.from(runner.journal.values(), ({ ref }) => ref);
  const { tasks, lost } = await world.ledger.renewLeases({
    by: runner.speaker,
    attempts,
    leaseExpiresAt: world.now + leaseMs,
  });
  world.told = tasks;
  // Told that it is no longer its own, a runner kills it; what it has finished it still tells.
  for (const ref of lost)
    if (runner.journal.get(attemptKey(ref))?.state !== 'Finished') runner.journal.delete(attemptKey(ref));
};

const releaseStarted = async (world: World, action: ActionOf<'releaseStarted'>): Promise<void> => {
  const entry = entryOf(world, action);
  const task = await taskOf(world, action.task);
  if (entry?.state !== 'Started' || task.startedAt === null || task.epoch !== entry.ref.epoch) return;
  const answer = await tell(world, runnerOf(world, action.runner).speaker, {
    ...entry.ref,
    kind: 'Released',
  });
  if (answer?.status !== 'Refused') throw new Error('invariant 4: what had started was taken back');
};

const advance = async (world: World, action: ActionOf<'advance'>): Promise<void> => {
  const { state, runner: holder } = await taskOf(world, action.task);
  if (state === 'Ready') return offer(world, runnerOf(world, action.runner), action.task);
  const runner = world.runners.findIndex(({ clientId }) => clientId === holder);
  if (runner < 0) return undefined;
  if (state === 'Offered') return acceptOffer(world, runnerOf(world, runner), action.task);
  const entry = entryOf(world, { runner, task: action.task });
  if (entry?.state === 'Confirmed') return start(world, { kind: 'start', runner, task: action.task });
  return finish(world, { ...action, kind: 'finish', runner });
};

const pass = async (world: World, { ms, swept }: ActionOf<'pass'>): Promise<void> => {
  world.now += ms;
  if (!swept) return;
  const { tasks } = await world.ledger.expire({ now: world.now, graceMs });
  world.told = tasks;
};

const cancel = async (world: World): Promise<void> => {
  const { tasks } = await world.ledger.requestCancel(world.runUid, world.now);
  world.told = tasks;
};

const restartWithoutJournal = async (world: World, runner: ModelRunner): Promise<void> => {
  runner.journal.clear();
  await openSession(world, runner);
};

type Handlers = { readonly [K in Action['kind']]: (world: World, action: ActionOf<K>) => Promise<void> };

const handlers: Handlers = {
  plan,
  cancel,
  offer: (world, action) => offer(world, runnerOf(world, action.runner), action.task),
  accept: (world, action) => acceptOffer(world, runnerOf(world, action.runner), action.task),
  acceptAsFormer: (world, action) => acceptAsFormer(world, runnerOf(world, action.runner), action.task),
  start,
  startUnheard: start,
  release,
  finish,
  finishUnheard: finish,
  tellAgain: tellResult,
  tellOtherwise: tellResult,
  tellAsFormer: tellResult,
  markUnknown: (world, action) => markUnknown(world, action.task),
  tellStale,
  renew: (world, action) => renew(world, runnerOf(world, action.runner)),
  restart: (world, action) => openSession(world, runnerOf(world, action.runner)),
  restartWithoutJournal: (world, action) => restartWithoutJournal(world, runnerOf(world, action.runner)),
  releaseStarted,
  advance,
  pass,
};

export const perform = async (world: World, action: Action): Promise<void> => {
  world.told = [];
  const handler = handlers[action.kind] as (world: World, action: Action) => Promise<void>;
  await handler(world, action);
};
