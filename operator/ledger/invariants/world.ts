import { attemptKey, type AttemptAnswer, type AttemptRef, type InventoryItem } from '@outrider/protocol';
import type { Ledger, Speaker } from '../ledger.ts';
import type { RunAndTasks, TaskRecord } from '../records.ts';
import { newRun, newTask } from './builders.ts';

export const leaseMs = 90_000;
export const offerMs = 10_000;
export const graceMs = 900_000;
export const queueMs = 3_600_000;

export type JournalState = 'Accepted' | 'Confirmed' | 'Started' | 'Finished';

/** A runner as the protocol wants it: it journals before it accepts, and starts only what was confirmed. */
export interface ModelRunner {
  readonly clientId: string;
  speaker: Speaker;
  /** The process before the last restart, which may still be there (a cloned machine). */
  former: Speaker | undefined;
  readonly journal: Map<string, { ref: AttemptRef; state: JournalState }>;
}

/** What really happened on the targets and what was promised, told by the answers alone. */
export interface World {
  readonly ledger: Ledger;
  readonly runUid: string;
  readonly taskIds: readonly string[];
  readonly runners: readonly ModelRunner[];
  now: number;
  /** Every side effect that began, in order. */
  readonly starts: { ref: AttemptRef; session: string }[];
  /** Which process was told that an attempt is its own. */
  readonly claims: Map<string, string>;
  /** Results answered as recorded, by attempt, as JSON. */
  readonly results: Map<string, string>;
  /** Tasks that the last command answered with. */
  told: readonly TaskRecord[];
  sequence: number;
}

let worlds = 0;

/** A fresh run of three tasks and two runners in a ledger that other worlds share. */
export const createWorld = async (ledger: Ledger): Promise<World> => {
  worlds += 1;
  const runUid = `run-${worlds}`;
  const taskIds = [0, 1, 2].map((index) => `${runUid}-task-${index}`);
  // Worlds follow one another in time, so that a sweep of one finds nothing of those before.
  const now = 1_800_000_000_000 + worlds * 1e10;
  await ledger.createRun({
    run: newRun(runUid, now),
    tasks: taskIds.map((id, index) => newTask(id, runUid, index)),
  });
  const world: World = {
    ledger,
    runUid,
    taskIds,
    runners: [0, 1].map((index) => {
      const clientId = `${runUid}-key-${index}`;
      const speaker = { clientId, runnerName: `runner-${index}`, session: `${clientId}-none` };
      return { clientId, speaker, former: undefined, journal: new Map() };
    }),
    now,
    starts: [],
    claims: new Map(),
    results: new Map(),
    told: [],
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

export const begin = (world: World, ref: AttemptRef, session: string): void => {
  world.starts.push({ ref, session });
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

/** A restart with the journal as it is: what the operator does not know is killed and forgotten. */
export const openSession = async (world: World, runner: ModelRunner): Promise<void> => {
  world.sequence += 1;
  runner.former = runner.speaker;
  runner.speaker = { ...runner.speaker, session: `${runner.clientId}-session-${world.sequence}` };
  const inventory = Array.from(runner.journal.values(), ({ ref, state }) => ({
    ...ref,
    generation: world.ledger.generation,
    state: inventoryState(state),
  }));
  const opened = await world.ledger.openSession({
    by: runner.speaker,
    inventory,
    now: world.now,
    leaseExpiresAt: world.now + leaseMs,
  });
  world.told = opened.tasks;
  for (const answer of opened.answers) {
    const key = attemptKey(answer);
    const entry = runner.journal.get(key);
    if (answer.decision === 'Abandon') runner.journal.delete(key);
    else if (entry?.state === 'Accepted') entry.state = 'Confirmed';
    if (answer.decision === 'Continue') world.claims.set(key, runner.speaker.session);
  }
};
