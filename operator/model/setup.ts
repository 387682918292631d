import { newRun, newTask } from '../ledger/invariants/builders.ts';
import type { NewTask } from '../ledger/records.ts';
import { planAll } from './actions.ts';
import type { Memory } from './memory.ts';
import { restart } from './runner.ts';
import { startOfTime, type Setup, type World } from './world.ts';

const runUid = 'run';

const taskOf = (setup: Setup, index: number): NewTask => {
  const task = newTask(`task-${index}`, runUid, index);
  const spec = { ...task.spec, onLost: setup.onLost };
  return {
    ...task,
    spec,
    ...(setup.onLost === 'Retry' ? { retry: { limit: 1, delayMs: 1000 } } : {}),
    ...(setup.onLost === 'Verify' ? { verify: { ...task.spec, input: { script: 'test -e done' } } } : {}),
    ...(setup.locked ? { lock: { key: 'target/web', max: 1 } } : {}),
  };
};

/** A fresh run whose runners have opened their first sessions. */
export const createWorld = async (memory: Memory, setup: Setup): Promise<World> => {
  const tasks = Array.from({ length: setup.tasks }, (_, index) => taskOf(setup, index));
  await memory.commands.createRun(memory.tx, { run: newRun(runUid, startOfTime), tasks });
  const world: World = {
    now: startOfTime,
    runUid,
    tasks: tasks.map(({ id }) => id),
    onLost: setup.onLost,
    runners: Array.from({ length: setup.runners }, (_, index) => ({
      clientId: `runner-${index}`,
      session: 'none',
      former: undefined,
      process: 0,
      dead: false,
      journal: [],
      renewedAt: startOfTime,
      unlisted: {},
    })),
    net: [],
    executions: [],
    results: {},
    claims: {},
    budget: { ...setup.budget },
    sessions: 0,
  };
  for (const index of world.runners.keys()) await restart({ memory, world }, index);
  await planAll({ memory, world });
  return world;
};
