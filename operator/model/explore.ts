import { enabled, perform, type Action } from './actions.ts';
import { checkEnds, checkStep, snapshot } from './check.ts';
import type { Memory } from './memory.ts';
import type { Model } from './operator.ts';
import { createWorld } from './setup.ts';
import { stateKey } from './state-key.ts';
import type { Setup } from './world.ts';

/** What an exploration found: an invariant that does not hold, and the shortest way to it that was seen. */
export interface Counterexample {
  readonly error: Error;
  readonly path: readonly Action[];
}

export interface Explored {
  readonly states: number;
  readonly steps: number;
  /** True when every state within the depth was visited. */
  readonly complete: boolean;
  readonly counterexample?: Counterexample;
  /** States of tasks that were seen. */
  readonly reached: ReadonlySet<string>;
}

interface Search {
  readonly model: Model;
  readonly memory: Memory;
  /** Depth that was left when a state was visited. */
  readonly seen: Map<string, number>;
  readonly path: Action[];
  readonly reached: Set<string>;
  readonly maxSteps: number;
  steps: number;
}

/** One step and its checks. @throws what is violated */
export const step = async (model: Model, action: Action): Promise<void> => {
  const before = await snapshot(model);
  const executions = model.world.executions.length;
  await perform(model, action);
  await checkStep(model, { before, executions, action });
};

/** That time alone ends the run is looked at from every so manieth state: it costs as much as ten steps. */
const endsEvery = 10;

const note = async (search: Search): Promise<void> => {
  for (const { state } of (await snapshot(search.model)).tasks) search.reached.add(state);
};

/** Runs `then` in a copy of the world, which is gone afterwards. */
const inCopy = async (search: Search, then: () => Promise<void>): Promise<void> => {
  const { model, memory } = search;
  const kept = structuredClone(model.world);
  memory.save();
  try {
    await then();
  } finally {
    memory.restore();
    model.world = kept;
  }
};

const visit = async (search: Search, left: number): Promise<void> => {
  const key = stateKey(search.model);
  if ((search.seen.get(key) ?? -1) >= left) return;
  const isNew = !search.seen.has(key);
  search.seen.set(key, left);
  if (isNew) {
    await note(search);
    if (search.seen.size % endsEvery === 1) await inCopy(search, () => checkEnds(search.model));
  }
  if (left === 0) return;
  for (const action of await enabled(search.model)) {
    if (search.steps >= search.maxSteps) return;
    search.steps += 1;
    search.path.push(action);
    await inCopy(search, async () => {
      await step(search.model, action);
      await visit(search, left - 1);
    });
    search.path.pop();
  }
};

/** Visits every state that is reached in at most `depth` steps, once for each depth that is left there. */
export const explore = async (
  memory: Memory,
  setup: Setup,
  { depth, maxSteps = Infinity }: { readonly depth: number; readonly maxSteps?: number },
): Promise<Explored> => {
  const world = await createWorld(memory, setup);
  const search: Search = {
    model: { memory, world },
    memory,
    seen: new Map(),
    path: [],
    reached: new Set(),
    maxSteps,
    steps: 0,
  };
  const found = (complete: boolean, counterexample?: Counterexample): Explored => ({
    states: search.seen.size,
    steps: search.steps,
    complete,
    reached: search.reached,
    ...(counterexample === undefined ? {} : { counterexample }),
  });
  try {
    await visit(search, depth);
    return found(search.steps < maxSteps);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return found(false, { error, path: [...search.path] });
  }
};
