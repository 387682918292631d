import { attemptKey, type AttemptRef, type Report } from '@outrider/protocol';
import { resultOf } from './results.ts';
import { applyPlan, openSession, receive, type Model, type Told } from './operator.ts';
import { leaseMs, type Entry, type Execution, type Message, type ModelRunner } from './world.ts';

/** What becomes of a request: answered; lost on the way there or back; or late, so that its sender stopped waiting. */
export const fates = ['answered', 'requestLost', 'answerLost', 'late'] as const;
export type Fate = (typeof fates)[number];

export const runnerAt = ({ world }: Model, index: number): ModelRunner => {
  const runner = world.runners[index];
  if (runner === undefined) throw new Error(`no runner ${index}`);
  return runner;
};

const put = (runner: ModelRunner, entry: Entry): void => {
  runner.journal = [...without(runner, entry.ref), entry].sort((a, b) =>
    attemptKey(a.ref).localeCompare(attemptKey(b.ref)),
  );
};

const without = (runner: ModelRunner, ref: AttemptRef): Entry[] =>
  runner.journal.filter((entry) => attemptKey(entry.ref) !== attemptKey(ref));

const entryAt = (runner: ModelRunner, ref: AttemptRef): Entry | undefined =>
  runner.journal.find((entry) => attemptKey(entry.ref) === attemptKey(ref));

/** Ends what it runs, as after Abandon. */
const kill = ({ world }: Model, ref: AttemptRef): void => {
  for (const execution of world.executions)
    if (attemptKey(execution.ref) === attemptKey(ref)) execution.alive = false;
};

/** An accept that was answered with yes is a claim of that process. */
const noteClaim = ({ world }: Model, ref: AttemptRef, session: string): void => {
  const key = attemptKey(ref);
  const holder = world.claims[key];
  if (holder !== undefined && holder !== session)
    throw new Error(`invariant 2: ${key} was given to ${holder} and to ${session}`);
  world.claims[key] = session;
};

const hearAccept = (model: Model, message: Message & { kind: 'Accept' }, told: Told): void => {
  const runner = runnerAt(model, message.runner);
  for (const { ref, ok } of told) {
    if (ok) noteClaim(model, ref, message.session);
    if (message.session !== runner.session) continue;
    if (entryAt(runner, ref)?.state !== 'Accepted') continue;
    if (ok) put(runner, { ref, state: 'Confirmed' });
    else runner.journal = without(runner, ref);
  }
};

/** An acknowledged or refused result is over for the runner; a refused start means that it is to be killed. */
const hearReport = (model: Model, message: Message & { kind: 'Report' }, told: Told): void => {
  const runner = runnerAt(model, message.runner);
  if (message.session !== runner.session) return;
  for (const { ref, ok } of told) {
    const over = message.report.kind !== 'Started' || !ok;
    if (over) runner.journal = without(runner, ref);
    if (!ok) kill(model, ref);
  }
};

const hearPoll = (model: Model, message: Message & { kind: 'Poll' }, told: Told): void => {
  const runner = runnerAt(model, message.runner);
  if (message.session !== runner.session) return;
  for (const { ref } of told) {
    const entry = entryAt(runner, ref);
    if (entry === undefined || entry.state === 'Finished') continue;
    runner.journal = without(runner, ref);
    kill(model, ref);
  }
};

const hear = (model: Model, message: Message, told: Told): void => {
  if (message.kind === 'Accept') hearAccept(model, message, told);
  if (message.kind === 'Report') hearReport(model, message, told);
  if (message.kind === 'Poll') hearPoll(model, message, told);
};

/** Sends a request; how it fares is part of the exploration. */
export const send = async (model: Model, message: Message, fate: Fate): Promise<void> => {
  const { world } = model;
  if (fate !== 'answered') world.budget.faults -= 1;
  if (fate === 'late') world.net.push(message);
  if (fate === 'late' || fate === 'requestLost') return;
  const sentAt = world.now;
  const told = await receive(model, message);
  if (fate === 'answerLost' || told === undefined || message.kind === 'Plan') return;
  hear(model, message, told);
  if (message.kind === 'Poll') runnerAt(model, message.runner).renewedAt = sentAt;
};

/** A late request arrives; nobody waits for its answer any more. */
export const arrive = async (model: Model, index: number): Promise<void> => {
  const [message] = model.world.net.splice(index, 1);
  if (message === undefined) return;
  if (message.kind === 'Plan') return applyPlan(model, message.plan);
  const told = await receive(model, message);
  // A process that a clone runs beside would take a yes as one.
  if (message.kind === 'Accept')
    for (const { ref, ok } of told ?? []) if (ok) noteClaim(model, ref, message.session);
};

export const takeOffer = async (
  model: Model,
  offer: { runner: number; ref: AttemptRef },
  fate: Fate,
): Promise<void> => {
  const runner = runnerAt(model, offer.runner);
  put(runner, { ref: offer.ref, state: 'Accepted' });
  const message = { kind: 'Accept', runner: offer.runner, session: runner.session, ref: offer.ref } as const;
  await send(model, message, fate);
};

const report = (model: Model, index: number, told: Report, fate: Fate): Promise<void> =>
  send(model, { kind: 'Report', runner: index, session: runnerAt(model, index).session, report: told }, fate);

/** A runner that is well, and has it in its journal, would go on with it. */
const isAtWork = ({ world }: Model, { ref, runner, alive }: Execution): boolean => {
  const holder = world.runners[runner];
  return alive && holder?.dead === false && entryAt(holder, ref)?.state === 'Started';
};

/**
 * The side effect begins. The supervisor on the target ends an older attempt's tree first, so that two of one task are never
 * alive there.
 */
export const start = async (model: Model, index: number, ref: AttemptRef, fate: Fate): Promise<void> => {
  const { world } = model;
  const older = world.executions.filter((execution) => execution.ref.task === ref.task);
  const overlaps = older.some((execution) => isAtWork(model, execution));
  for (const execution of older) execution.alive = false;
  world.executions.push({ ref, runner: index, alive: true, overlaps });
  put(runnerAt(model, index), { ref, state: 'Started' });
  await report(model, index, { ...ref, kind: 'Started' }, fate);
};

export const finish = async (
  model: Model,
  index: number,
  end: { ref: AttemptRef; outcome: 'Succeeded' | 'Failed' },
  fate: Fate,
): Promise<void> => {
  const { ref, outcome } = end;
  kill(model, ref);
  put(runnerAt(model, index), { ref, state: 'Finished', outcome });
  await tellResult(model, index, end, fate);
};

export const tellResult = (
  model: Model,
  index: number,
  { ref, outcome }: { ref: AttemptRef; outcome: 'Succeeded' | 'Failed' },
  fate: Fate,
): Promise<void> => report(model, index, { ...ref, kind: 'Result', result: resultOf(outcome) }, fate);

export const release = async (model: Model, index: number, ref: AttemptRef, fate: Fate): Promise<void> => {
  put(runnerAt(model, index), { ref, state: 'Releasing' });
  await report(model, index, { ...ref, kind: 'Released' }, fate);
};

/** A restart, or a session anew: what the operator does not want is killed and forgotten. */
export const restart = async (model: Model, index: number, { withJournal = true } = {}): Promise<void> => {
  const runner = runnerAt(model, index);
  runner.dead = false;
  runner.process += 1;
  if (!withJournal) runner.journal = [];
  runner.renewedAt = model.world.now;
  for (const answer of await openSession(model, index)) {
    const entry = entryAt(runner, answer);
    if (entry === undefined) continue;
    if (answer.decision === 'Abandon') {
      runner.journal = without(runner, entry.ref);
      kill(model, entry.ref);
      continue;
    }
    model.world.claims[attemptKey(entry.ref)] = runner.session;
    // What an earlier process had not started, this one gives back.
    if (entry.state === 'Accepted' || entry.state === 'Confirmed')
      put(runner, { ...entry, state: 'Releasing' });
  }
};

/** Under Retry a runner that cannot renew ends its own work with its lease; one that is dead cannot. */
export const endWithLease = (model: Model): void => {
  const { world } = model;
  if (world.onLost !== 'Retry') return;
  for (const runner of world.runners) {
    if (runner.dead || runner.renewedAt + leaseMs > world.now) continue;
    for (const entry of runner.journal) {
      if (entry.state !== 'Started') continue;
      kill(model, entry.ref);
      put(runner, { ref: entry.ref, state: 'Finished', outcome: 'Failed' });
    }
  }
};
