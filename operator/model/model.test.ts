import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { OnLost } from '@outrider/protocol';
import { explore } from './explore.ts';
import { openMemory, type Commands } from './memory.ts';
import { mutations } from './mutations.ts';
import { walk } from './walk.ts';
import type { Setup } from './world.ts';

const policies: readonly OnLost[] = ['Fail', 'Retry', 'Verify', 'Ask'];

/** `make faults` looks further than `make test`. */
const isLong = process.env['OUTRIDER_FAULTS_RECORD'] !== undefined;
const depth = isLong ? 7 : 5;
const walks = isLong ? 3000 : 100;
const timeout = isLong ? 900_000 : 120_000;

const small = (onLost: OnLost): Setup => ({
  onLost,
  tasks: 1,
  runners: 2,
  locked: false,
  budget: { faults: 1, crashes: 1, passes: 2, cancels: 0, decisions: 1, polls: 1 },
});
const large = (onLost: OnLost, change: Partial<Setup> = {}): Setup => ({
  onLost,
  tasks: 2,
  runners: 2,
  locked: false,
  budget: { faults: 4, crashes: 2, passes: 6, cancels: 1, decisions: 1, polls: 6 },
  ...change,
});

/** Counterexamples are read step by step. */
const told = (path: readonly unknown[]): string => path.map((action) => JSON.stringify(action)).join('\n');

describe('one task, two runners, one message lost or late and one crash', { timeout }, () => {
  test.each(policies)('under %s no order of events breaks an invariant', async (onLost) => {
    const memory = openMemory();
    const explored = await explore(memory, small(onLost), { depth });
    memory.close();
    const { counterexample, complete, states } = explored;
    expect(counterexample?.error.message ?? '', told(counterexample?.path ?? [])).toBe('');
    expect(complete).toBe(true);
    expect(states).toBeGreaterThan(500);
  });
});

describe('two tasks, two runners, and whatever may happen to messages and processes', { timeout }, () => {
  test.each(policies)('under %s no walk breaks an invariant', async (onLost) => {
    const memory = openMemory();
    const missing = new Set(['Ready', 'Claimed', 'Running', 'Unknown', 'Succeeded', 'Failed']);
    const property = fc.asyncProperty(
      fc.array(fc.nat(), { minLength: 20, maxLength: 60 }),
      fc.boolean(),
      async (choices, locked) => {
        const walked = await walk(memory, large(onLost, { locked }), choices);
        for (const state of walked.reached) missing.delete(state);
        expect(walked.error?.message ?? '', told(walked.path)).toBe('');
      },
    );
    // The walks are worth something only if they get around: where chance left something out, more are made.
    for (let rounds = 0; rounds === 0 || (rounds < 10 && missing.size > 0); rounds++)
      await fc.assert(property, { numRuns: walks });
    memory.close();
    expect([...missing]).toEqual([]);
  });
});

/** Whether a walk finds that something is wrong with these commands. */
const isCaught = async (
  change: (commands: Commands) => Partial<Commands>,
  setup: Partial<Setup> = {},
): Promise<boolean> => {
  const memory = openMemory(change);
  const found = await fc.check(
    fc.asyncProperty(
      fc.array(fc.nat(), { minLength: 40, maxLength: 60 }),
      fc.constantFrom(...policies),
      async (choices, onLost) => {
        const { error } = await walk(memory, large(onLost, setup), choices);
        if (error !== undefined) throw error;
      },
    ),
    { numRuns: 20_000, seed: 7, endOnFailure: true },
  );
  memory.close();
  return found.failed;
};

describe('the invariants notice when', { timeout }, () => {
  test.each(mutations)('$what', async ({ change, setup }) => {
    expect(await isCaught(change, setup)).toBe(true);
  });
});
