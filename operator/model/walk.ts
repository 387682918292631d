import { enabled, type Action } from './actions.ts';
import { checkEnds } from './check.ts';
import { step } from './explore.ts';
import type { Memory } from './memory.ts';
import type { Model } from './operator.ts';
import { createWorld } from './setup.ts';
import type { Setup } from './world.ts';

/** What a walk did, and what it violated if it did. */
export interface Walked {
  readonly path: readonly Action[];
  readonly error?: Error;
  readonly reached: ReadonlySet<string>;
}

/**
 * One way through a large world: each number chooses among what may happen then. The world is gone afterwards.
 */
export const walk = async (memory: Memory, setup: Setup, choices: readonly number[]): Promise<Walked> => {
  memory.save();
  const path: Action[] = [];
  const reached = new Set<string>();
  try {
    const model: Model = { memory, world: await createWorld(memory, setup) };
    for (const choice of choices) {
      const possible = await enabled(model);
      const action = possible[choice % Math.max(1, possible.length)];
      if (action === undefined) break;
      path.push(action);
      await step(model, action);
      for (const { state } of memory.rows('SELECT DISTINCT state FROM tasks')) reached.add(String(state));
    }
    await checkEnds(model);
    return { path, reached };
  } catch (error) {
    if (error instanceof Error) return { path, reached, error };
    throw error;
  } finally {
    memory.restore();
  }
};
