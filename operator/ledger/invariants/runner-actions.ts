import { attemptKey, type AttemptAnswer, type AttemptRef, type Report } from '@outrider/protocol';
import type { Speaker } from '../ledger.ts';
import type { ActionOf } from './actions.ts';
import { result } from './builders.ts';
import { noteAnswers, offer } from './operator-actions.ts';
import {
  begin,
  leaseMs,
  noteClaims,
  openSession,
  runnerOf,
  stop,
  taskIdOf,
  taskOf,
  type JournalEntry,
  type ModelRunner,
  type World,
} from './world.ts';

interface Who {
  readonly runner: number;
  readonly task: number;
}

const entryOf = async (world: World, { runner, task }: Who): Promise<JournalEntry | undefined> => {
  const id = await taskIdOf(world, task);
  return [...runnerOf(world, runner).journal.values()].findLast(({ ref }) => ref.task === id);
};

/** A recorded result is recorded once. */
const holdToAnswer = (world: World, report: Report, answer: AttemptAnswer): void => {
  if (report.kind !== 'Result' || answer.status === 'Refused') return;
  const key = attemptKey(report);
  const content = JSON.stringify(report.result);
  const before = world.results.get(key);
  if ((answer.status === 'Recorded') !== (before === undefined))
    throw new Error(`${key} was answered ${answer.status}`);
  if (before !== undefined && before !== content) throw new Error(`two results of ${key} were taken`);
  world.results.set(key, content);
  world.everRecorded.add(key);
};

/** Sends a report. Undefined while the runner's session is of a ledger that is no more. */
const tell = async (
  world: World,
  { isCutOff }: ModelRunner,
  by: Speaker,
  report: Report,
): Promise<AttemptAnswer | undefined> => {
  if (isCutOff) return undefined;
  const { tasks, answers } = await world.ledger.recordReports({ by, reports: [report], now: world.now });
  world.told = tasks;
  const [answer] = answers;
  if (answer !== undefined) holdToAnswer(world, report, answer);
  await noteAnswers(world);
  return answer;
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

export const acceptOffer = async (world: World, action: Who): Promise<void> => {
  const task = await taskOf(world, action.task);
  const runner = runnerOf(world, action.runner);
  if (task === undefined || task.runner !== runner.clientId || task.epoch === 0 || runner.isCutOff) return;
  const ref = { task: task.id, epoch: task.epoch };
  const key = attemptKey(ref);
  const { generation } = world.ledger;
  const leaseExpiresAt = world.now + leaseMs;
  const entry = runner.journal.get(key) ?? { ref, generation, state: 'Accepted' as const, leaseExpiresAt };
  if (entry.state !== 'Accepted') return;
  runner.journal.set(key, entry);
  const claimed = await accept(world, runner.speaker, ref);
  if (claimed.includes(key)) entry.state = 'Confirmed';
  else runner.journal.delete(key);
};

/** The process before a restart saw the offer too. Should it be confirmed, it starts. */
export const acceptAsFormer = async (world: World, action: Who): Promise<void> => {
  const task = await taskOf(world, action.task);
  const { former, isCutOff } = runnerOf(world, action.runner);
  if (task === undefined || former === undefined || task.epoch === 0 || isCutOff) return;
  const ref = { task: task.id, epoch: task.epoch };
  const claimed = await accept(world, former, ref);
  if (claimed.length > 0) begin(world, ref, former.session);
};

/** Heard or not; a probe acts on nothing. */
export const start = async (world: World, action: Who & { kind: string }): Promise<void> => {
  const entry = await entryOf(world, action);
  const runner = runnerOf(world, action.runner);
  if (entry?.state !== 'Confirmed') return;
  entry.state = 'Started';
  if (world.taskIds.includes(entry.ref.task)) begin(world, entry.ref, runner.speaker.session);
  if (action.kind === 'start') await tell(world, runner, runner.speaker, { ...entry.ref, kind: 'Started' });
};

export const release = async (world: World, action: Who): Promise<void> => {
  const entry = await entryOf(world, action);
  const runner = runnerOf(world, action.runner);
  if (entry === undefined || entry.state === 'Started' || entry.state === 'Finished') return;
  runner.journal.delete(attemptKey(entry.ref));
  await tell(world, runner, runner.speaker, { ...entry.ref, kind: 'Released' });
};

export const finish = async (
  world: World,
  action: ActionOf<'finish'> | (Omit<ActionOf<'advance'>, 'kind'> & { kind: 'finish' }),
): Promise<void> => {
  const entry = await entryOf(world, action);
  const runner = runnerOf(world, action.runner);
  if (entry?.state !== 'Started') return;
  entry.state = 'Finished';
  const exitCode = action.outcome === 'Succeeded' ? 0 : action.exitCode;
  entry.result = result(action.outcome, { exitCode });
  stop(world, entry.ref);
  const report: Report = { ...entry.ref, kind: 'Result', result: entry.result };
  if (action.kind === 'finish') await tell(world, runner, runner.speaker, report);
};

/** The same result again, another one, or one by a superseded process. */
export const tellResult = async (world: World, action: Who & { kind: string }): Promise<void> => {
  const entry = await entryOf(world, action);
  const runner = runnerOf(world, action.runner);
  if (entry?.result === undefined) return;
  const isOther = action.kind === 'tellOtherwise' && world.results.has(attemptKey(entry.ref));
  const told = isOther ? result('Failed', { message: 'another story' }) : entry.result;
  const by = action.kind === 'tellAsFormer' ? runner.former : runner.speaker;
  if (by === undefined) return;
  const answer = await tell(world, runner, by, { ...entry.ref, kind: 'Result', result: told });
  const wasHeard = answer !== undefined && answer.status !== 'Refused';
  if (by === runner.former && wasHeard) throw new Error('a superseded session was heard');
};

export const tellStale = async (world: World, action: ActionOf<'tellStale'>): Promise<void> => {
  const runner = runnerOf(world, action.runner);
  const ref = { task: (await taskIdOf(world, action.task)) ?? '', epoch: action.epoch };
  // What it has in its journal it tells the truth about.
  if (runner.journal.has(attemptKey(ref))) return;
  const isOwn = [...world.claims].some(
    ([key, session]) => key === attemptKey(ref) && session.startsWith(runner.clientId),
  );
  if (isOwn) return;
  const content = action.report === 'Result' ? { result: result('Succeeded') } : {};
  await tell(world, runner, runner.speaker, { ...ref, kind: action.report, ...content });
};

/** Told that it is no longer its own, a runner kills it; what it has finished it still tells. */
const drop = (world: World, runner: ModelRunner, ref: AttemptRef): void => {
  if (runner.journal.get(attemptKey(ref))?.state === 'Finished') return;
  runner.journal.delete(attemptKey(ref));
  stop(world, ref);
};

export const renew = async (world: World, runner: ModelRunner): Promise<void> => {
  if (runner.isCutOff) return;
  const leaseExpiresAt = world.now + leaseMs;
  const entries = [...runner.journal.values()];
  const { tasks, lost } = await world.ledger.renewLeases({
    by: runner.speaker,
    attempts: entries.map(({ ref }) => ref),
    leaseExpiresAt,
  });
  world.told = tasks;
  for (const entry of entries) entry.leaseExpiresAt = leaseExpiresAt;
  for (const ref of lost) drop(world, runner, ref);
};

export const releaseStarted = async (world: World, action: ActionOf<'releaseStarted'>): Promise<void> => {
  const entry = await entryOf(world, action);
  const task = await taskOf(world, action.task);
  const runner = runnerOf(world, action.runner);
  if (entry?.state !== 'Started' || task === undefined || task.startedAt === null) return;
  if (task.epoch !== entry.ref.epoch || runner.isCutOff) return;
  const answer = await tell(world, runner, runner.speaker, { ...entry.ref, kind: 'Released' });
  if (answer?.status !== 'Refused') throw new Error('invariant 4: what had started was taken back');
};

/** Its child processes go on; the journal is as it was. */
export const crash = async (world: World, runner: ModelRunner): Promise<void> => {
  world.sequence += 1;
  runner.startedAt = new Date(world.now + world.sequence).toISOString();
  await openSession(world, runner);
};

export const restartWithoutJournal = async (world: World, runner: ModelRunner): Promise<void> => {
  for (const { ref } of runner.journal.values())
    for (const execution of world.starts)
      if (attemptKey(execution.ref) === attemptKey(ref)) execution.isOrphan = true;
  runner.journal.clear();
  await openSession(world, runner);
};

export const advance = async (world: World, action: ActionOf<'advance'>): Promise<void> => {
  const task = await taskOf(world, action.task);
  if (task === undefined) return;
  if (task.state === 'Ready') {
    await offer(world, action);
    return;
  }
  const runner = world.runners.findIndex(({ clientId }) => clientId === task.runner);
  if (runner < 0) return;
  const who = { ...action, runner };
  if (task.state === 'Offered') await acceptOffer(world, who);
  else if ((await entryOf(world, who))?.state === 'Confirmed') await start(world, { ...who, kind: 'start' });
  else await finish(world, { ...who, kind: 'finish' });
};
