import { percentile } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import { arePolling, haveEnded, steps } from '../harness/offers.ts';
import type { Program } from '../harness/program.ts';
import { atLeast, atMost, ms, type Section } from '../harness/section.ts';
import { registerRunners, startFleet, startOperatorProgram } from '../harness/site-setup.ts';
import type { Usage } from '../harness/usage.ts';
import type { OperatorHandlers } from '../programs/operator.ts';

const runners = 20;
const capacity = 50;
const goalPerSecond = 500;

interface Pace {
  readonly tasks: number;
  readonly perSecond: number;
  /** Processor time of the operator for one task, in milliseconds. */
  readonly cpuMs: number;
  readonly loopDelay: number;
}

/** Starts runs at once, and takes the time until every task of theirs has ended. */
export const pace = async (
  operator: Program<OperatorHandlers>,
  work: { workflow: string; runs: number; tasksPerRun: number },
): Promise<Pace> => {
  const { workflow, runs, tasksPerRun } = work;
  const tasks = runs * tasksPerRun;
  const names = Array.from({ length: runs }, (_, i) => `${workflow}-${i}`);
  const endedBefore = await operator.call('ended');
  await operator.call('resetLoopDelay');
  const before: Usage = await operator.call('usage');
  await operator.call('startRuns', { workflow, names });
  await haveEnded(operator, endedBefore + tasks, 240_000);
  const after: Usage = await operator.call('usage');
  return {
    tasks,
    perSecond: (tasks * 1000) / (after.at - before.at),
    cpuMs: (after.cpuMs - before.cpuMs) / tasks,
    loopDelay: after.loopDelayP99,
  };
};

/** Offer, accept, start, result: each acknowledged after its commit. */
export const measureCycle = async ({ footprint, launcher, scale }: Bench): Promise<Section> => {
  const site = await registerRunners({ footprint, launcher, name: 'cycle', runners });
  const { operator, server } = await startOperatorProgram(launcher, site);
  const fleet = await startFleet(launcher, site, server, { capacity, perSecond: 100 });
  await arePolling(operator, runners, 30_000);
  const runs = Math.ceil(300 * scale);
  const targets = Math.ceil(500 * scale);
  await operator.call('addTargets', targets);
  await operator.call('addWorkflow', { name: 'warm', spec: { steps: steps(3) } });
  await operator.call('addWorkflow', { name: 'deep', spec: { steps: steps(10) } });
  await operator.call('addWorkflow', {
    name: 'wide',
    spec: { steps: steps(1, { targets: { matchLabels: { bench: 'all' } } }) },
  });
  await pace(operator, { workflow: 'warm', runs: 100, tasksPerRun: 3 });
  const deep = await pace(operator, { workflow: 'deep', runs, tasksPerRun: 10 });
  const wide = await pace(operator, { workflow: 'wide', runs: 10, tasksPerRun: targets });
  const { commits, commitMs, synchronous } = await operator.call('diagnostics');
  const failures = (await fleet.all((each) => each.call('failures'))).flat();
  await fleet.stop();
  await operator.stop();
  const perSecond = { goal: goalPerSecond, show: (value: number) => `${value.toFixed(0)} / s` };
  return {
    title: 'Tasks per second',
    text: `${runners} simulated runners with ${capacity} slots each take offers, accept them, report their start and then their result: each answered after its commit. Two shapes: ${runs} runs of 10 steps one after the other, all at once; and 10 runs of one step on ${targets} targets.`,
    rows: [
      atLeast(`${deep.tasks} tasks, ${runs} runs at once`, deep.perSecond, perSecond),
      { figure: 'processor time of the operator a task', value: ms(deep.cpuMs) },
      atMost('event loop delay, p99', deep.loopDelay, { goal: 50, show: ms }),
      atLeast(`${wide.tasks} tasks, 10 runs of ${targets} targets`, wide.perSecond, perSecond),
      { figure: 'processor time of the operator a task', value: ms(wide.cpuMs) },
      atMost('event loop delay, p99', wide.loopDelay, { goal: 50, show: ms }),
      { figure: 'requests that failed', value: `${failures.reduce((sum, [, count]) => sum + count, 0)}` },
    ],
    notes: `SQLite, synchronous ${synchronous}, ${commits} group commits, p50 ${ms(percentile(commitMs, 0.5))}, p99 ${ms(percentile(commitMs, 0.99))}.`,
  };
};
