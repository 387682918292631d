import type { AttemptAnswer, AttemptRef, InventoryItem, TaskResult } from '@outrider/protocol';
import { attemptKey } from '@outrider/protocol';
import type { Ledger, Speaker } from '../ledger.ts';
import type { NewTask, RunAndTasks, TaskRecord } from '../records.ts';
import { newRun, newTask } from './builders.ts';

export const leaseMs = 90_000;
export const offerMs = 10_000;
export const graceMs = 900_000;
export const killGraceMs = 30_000;
export const queueMs = 3_600_000;
export const dayMs = 86_400_000;

export type JournalState = 'Accepted' | 'Confirmed' | 'Started' | 'Finished';

export interface JournalEntry {
  readonly ref: AttemptRef;
  readonly generation: string;
  state: JournalState;
  /** Set with Finished. */
  result?: TaskResult;
  /** As it was last acknowledged. */
  leaseExpiresAt: number;
}

/** A runner as the protocol wants it: it journals before it accepts, and starts only what was confirmed. */
export interface ModelRunner {
  readonly clientId: string;
  speaker: Speaker;
  /** The process before the last restart, which may still be there (a cloned machine). */
  former: Speaker | undefined;
  /** When its process started. */
  startedAt: string;
  /** Its session is of a ledger that is no more: it has to open another before it is heard. */
  isCutOff: boolean;
  readonly journal: Map<string, JournalEntry>;
}

/** Something that began on a target. */
export interface Execution {
  readonly ref: AttemptRef;
  readonly session: string;
  /** Until it ended, or was killed. */
  isAlive: boolean;
  /** Its runner lost its journal: nobody ends it in time. */
  isOrphan: boolean;
  /** What acted on targets when it began. */
  readonly beside: readonly Execution[];
}

/** What really happened on the targets and what was promised, told by the answers alone. */
export interface World {
  readonly ledger: Ledger;
  readonly runUid: string;
  readonly taskIds: readonly string[];
  readonly runners: readonly ModelRunner[];
  now: number;
  /** Every side effect, in the order in which they began. */
  readonly starts: Execution[];
  /** Which process was told that an attempt is its own. */
  readonly claims: Map<string, string>;
  /** Results answered as recorded, by attempt, as JSON; those that a copy which was put back does not have are gone. */
  results: Map<string, string>;
  /** Attempts whose result was ever answered as recorded. */
  readonly everRecorded: Set<string>;
  /** Attempts that another may follow though no result is recorded: a person, or the verify script, said so. */
  readonly cleared: Set<string>;
  /** Tasks whose place on the target a person freed. */
  readonly released: Set<string>;
  /** Tasks that the last command answered with. */
  told: readonly TaskRecord[];
  isRecovering: boolean;
  /** `results` as they were when the copy was made. */
  copiedResults: ReadonlyMap<string, string>;
  sequence: number;
}

/** Copies of the ledger, where its engine can put one back. */
export interface Copies {
  copy(): void;
  /** False when there is none. */
  putBack(): boolean;
}

let worlds = 0;

/** One task for each policy of lost work; those of Fail and Retry take turns on one target. */
const tasksOf = (runUid: string): NewTask[] => {
  const lock = { key: `target/team-a/${runUid}`, max: 1 };
  const retry = { limit: 2, delayMs: 1000 };
  const base = [0, 1, 2, 3].map((index) => newTask(`${runUid}-task-${index}`, runUid, index));
  const { spec } = newTask('any', runUid, 0);
  const changes: Partial<NewTask>[] = [
    { lock },
    { lock, retry, spec: { ...spec, onLost: 'Retry' } },
    { spec: { ...spec, onLost: 'Verify' }, verify: { ...spec, input: { script: 'test -f /done' } } },
    { spec: { ...spec, onLost: 'Ask' } },
  ];
  return base.map((task, index) => ({ ...task, ...changes[index] }));
};

/** A fresh run and two runners in a ledger that other worlds share. */
export const createWorld = async (ledger: Ledger): Promise<World> => {
  worlds += 1;
  const runUid = `run-${worlds}`;
  // Worlds follow one another in time, so that a sweep of one finds nothing of those before.
  const now = 1_800_000_000_000 + worlds * 1e11;
  const tasks = tasksOf(runUid);
  await ledger.createRun({ run: newRun(runUid, now), tasks });
  const world: World = {
    ledger,
    runUid,
    taskIds: tasks.map(({ id }) => id),
    runners: [0, 1].map((index) => {
      const clientId = `${runUid}-key-${index}`;
      const speaker = { clientId, runnerName: `runner-${index}`, session: `${clientId}-none` };
      const startedAt = new Date(now).toISOString();
      return { clientId, speaker, former: undefined, startedAt, isCutOff: false, journal: new Map() };
    }),
    now,
    starts: [],
    claims: new Map(),
    results: new Map(),
    everRecorded: new Set(),
    cleared: new Set(),
    released: new Set(),
    told: [],
    isRecovering: false,
    copiedResults: new Map(),
    sequence: 0,
  };
  for (const runner of world.runners) await openSession(world, runner);
  return world;
};

export const snapshot = async (world: World): Promise<RunAndTasks> => {
  const found = await world.ledger.readRun(world.runUid);
  if (found === undefined) throw new Error(`run ${world.runUid} is gone`);
  return found;
};

export const runnerOf = (world: World, index: number): ModelRunner => {
  const runner = world.runners[index];
  if (runner === undefined) throw new Error(`no runner ${index}`);
  return runner;
};

/** Behind the tasks of the run stands its newest probe. */
export const taskOf = async (world: World, index: number): Promise<TaskRecord | undefined> => {
  const id = world.taskIds[index];
  if (id !== undefined) return world.ledger.readTask(id);
  return (await snapshot(world)).tasks.findLast(({ probeOf }) => probeOf !== null);
};

export const taskIdOf = async (world: World, index: number): Promise<string | undefined> =>
  world.taskIds[index] ?? (await taskOf(world, index))?.id;

export const begin = (world: World, ref: AttemptRef, session: string): void => {
  const beside = world.starts.filter(({ isAlive }) => isAlive);
  // The supervisor on the target ends an older attempt of the same task first.
  for (const earlier of beside) if (earlier.ref.task === ref.task) earlier.isAlive = false;
  world.starts.push({ ref, session, isAlive: true, isOrphan: false, beside });
};

/** It ended by itself, or was killed. */
export const stop = (world: World, ref: AttemptRef): void => {
  for (const execution of world.starts)
    if (attemptKey(execution.ref) === attemptKey(ref)) execution.isAlive = false;
};

/** An accept that was answered with Recorded or Duplicate is a claim of that process. */
export const noteClaims = (
  world: World,
  session: string,
  answers: readonly AttemptAnswer[],
): readonly string[] => {
  const claimed = answers.filter(({ status }) => status !== 'Refused').map(attemptKey);
  for (const key of claimed) {
    const holder = world.claims.get(key);
    if (holder !== undefined && holder !== session)
      throw new Error(`invariant 2: ${key} was given to ${holder} and to ${session}`);
    world.claims.set(key, session);
  }
  return claimed;
};

const inventoryState = (state: JournalState): InventoryItem['state'] =>
  state === 'Confirmed' ? 'Accepted' : state;

/** What is not wanted any more is killed; of what is over the journal keeps the result. */
const abandon = (world: World, runner: ModelRunner, entry: JournalEntry): void => {
  if (entry.state === 'Finished') return;
  runner.journal.delete(attemptKey(entry.ref));
  stop(world, entry.ref);
};

/** A session with the journal as it is, in recovery with all results that it keeps. */
export const openSession = async (world: World, runner: ModelRunner): Promise<void> => {
  world.sequence += 1;
  runner.former = runner.speaker;
  runner.speaker = { ...runner.speaker, session: `${runner.clientId}-session-${world.sequence}` };
  runner.isCutOff = false;
  const leaseExpiresAt = world.now + leaseMs;
  const inventory = Array.from(runner.journal.values(), ({ ref, generation, state }) => ({
    ...ref,
    generation,
    state: inventoryState(state),
  }));
  const { tasks, answers } = await world.ledger.openSession({
    by: runner.speaker,
    inventory,
    now: world.now,
    leaseExpiresAt,
    hello: {
      protocolVersion: 2,
      version: '1.0.0',
      startedAt: runner.startedAt,
      capacity: 10,
      nodes: ['ssh-exec'],
    },
  });
  world.told = tasks;
  for (const answer of answers) {
    const entry = runner.journal.get(attemptKey(answer));
    if (entry === undefined) continue;
    if (answer.decision === 'Abandon') abandon(world, runner, entry);
    else {
      entry.leaseExpiresAt = leaseExpiresAt;
      if (entry.state === 'Accepted') entry.state = 'Confirmed';
      world.claims.set(attemptKey(answer), runner.speaker.session);
    }
  }
  if (world.isRecovering) await handIn(world, runner);
};

const handIn = async (world: World, runner: ModelRunner): Promise<void> => {
  const items = [...runner.journal.values()].flatMap(({ ref, generation, result }) =>
    result === undefined ? [] : [{ ...ref, generation, result }],
  );
  const { tasks } = await world.ledger.recordRecovery({ by: runner.speaker, items, now: world.now });
  world.told = [...world.told, ...tasks];
};

/** Under Retry a runner ends its own work before anybody else can be given it. */
export const killOverdue = async (world: World): Promise<void> => {
  for (const runner of world.runners)
    for (const entry of runner.journal.values()) {
      const task = await world.ledger.readTask(entry.ref.task);
      const isOverdue = entry.leaseExpiresAt + killGraceMs <= world.now;
      if (task?.onLost !== 'Retry' || entry.state === 'Finished' || !isOverdue) continue;
      runner.journal.delete(attemptKey(entry.ref));
      stop(world, entry.ref);
    }
};
