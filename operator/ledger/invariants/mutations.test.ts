import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Ledger } from '../ledger.ts';
import { openMemoryLedger } from '../suite/memory.ts';
import { live } from './live.ts';
import { lives, livesOf, restored } from './sequences.ts';
import { createWorld, leaseMs } from './world.ts';

interface Mutation {
  readonly name: string;
  /** How the invariant that is broken first begins. */
  readonly broken: RegExp;
  readonly change: (ledger: Ledger) => Partial<Ledger>;
  readonly sequences?: typeof lives;
}

const mutations: readonly Mutation[] = [
  {
    name: 'a policy of lost work that always tries again',
    broken: /invariant 4/,
    change: (ledger) => ({
      createRun: (command) =>
        ledger.createRun({
          ...command,
          tasks: command.tasks.map((task) => ({
            ...task,
            spec: { ...task.spec, onLost: 'Retry' },
            retry: { limit: 2, delayMs: 1 },
          })),
        }),
    }),
    sequences: livesOf(3),
  },
  {
    name: 'a retry before the runner can have killed its own work',
    broken: /invariant 4/,
    change: (ledger) => ({
      expire: (command) => ledger.expire({ ...command, killGraceMs: -leaseMs }),
    }),
    sequences: livesOf(1, [10_000]),
  },
  {
    name: 'a target whose limit is not kept',
    broken: /invariant 8/,
    change: (ledger) => ({
      createRun: (command) =>
        ledger.createRun({
          ...command,
          tasks: command.tasks.map((task) => ({ ...task, lock: { key: task.id, max: 1 } })),
        }),
    }),
  },
  {
    name: 'a decision that counts for whatever attempt is there',
    broken: /a decision was applied to attempt/,
    change: (ledger) => ({
      decide: async (command) => {
        const found = await ledger.readRun(command.runUid);
        const task = found?.tasks.find(({ target }) => target === command.target);
        return ledger.decide({ ...command, epoch: task?.epoch ?? command.epoch });
      },
    }),
    sequences: livesOf(3),
  },
  {
    name: 'changes that are read from one revision too late',
    broken: /invariant 9/,
    change: (ledger) => ({
      changedSince: ({ uid, revision }) => ledger.changedSince({ uid, revision: revision + 1 }),
    }),
  },
  {
    name: 'an answer that leaves out what it changed',
    broken: /invariant 9/,
    change: (ledger) => ({
      expire: async (command) => ({ tasks: (await ledger.expire(command)).tasks.slice(1) }),
    }),
  },
  {
    name: 'a copy that is put back and believed',
    broken: /invariant [124]/,
    change: () => ({
      enterRecovery: () => Promise.resolve({ tasks: [] }),
      leaveRecovery: () => Promise.resolve({ tasks: [] }),
    }),
    sequences: restored,
  },
];

describe('the invariants catch', () => {
  test.each(mutations)('$name', { timeout: 120_000 }, async ({ change, broken, sequences = lives }) => {
    const memory = openMemoryLedger(change);
    const found = await fc.check(
      fc.asyncProperty(sequences, async (actions) => {
        await live(await createWorld(memory.ledger), actions, memory);
      }),
      { numRuns: 2000, seed: 7, endOnFailure: true },
    );
    memory.close();
    expect(String(found.errorInstance)).toMatch(broken);
  });
});
