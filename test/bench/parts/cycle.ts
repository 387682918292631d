import { startPostgres, type Postgres } from '../../servers/postgres.ts';
import { percentile } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import { arePolling, haveEnded, steps } from '../harness/offers.ts';
import type { Launcher, Program } from '../harness/program.ts';
import { atLeast, atMost, ms, type Row, type Section } from '../harness/section.ts';
import {
  registerRunners,
  startFleet,
  startOperatorProgram,
  type Fleet,
  type Site,
} from '../harness/site-setup.ts';
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
  operators: readonly Program<OperatorHandlers>[],
  work: { workflow: string; runs: number; tasksPerRun: number },
): Promise<Pace> => {
  const [leader] = operators;
  if (leader === undefined) throw new Error('there is no replica');
  const { workflow, runs, tasksPerRun } = work;
  const tasks = runs * tasksPerRun;
  const names = Array.from({ length: runs }, (_, i) => `${workflow}-${i}`);
  const usage = (): Promise<Usage[]> => Promise.all(operators.map((each) => each.call('usage')));
  const cpuMs = (all: readonly Usage[]): number => all.reduce((sum, each) => sum + each.cpuMs, 0);
  const endedBefore = await leader.call('ended');
  await Promise.all(operators.map((each) => each.call('resetLoopDelay')));
  const before = await usage();
  const begun = performance.now();
  await leader.call('startRuns', { workflow, names });
  await haveEnded(leader, endedBefore + tasks, 120_000);
  const took = performance.now() - begun;
  const after = await usage();
  return {
    tasks,
    perSecond: (tasks * 1000) / took,
    cpuMs: (cpuMs(after) - cpuMs(before)) / tasks,
    loopDelay: Math.max(...after.map((each) => each.loopDelayP99)),
  };
};

interface Cycle {
  readonly deep: Pace;
  readonly wide: Pace;
  readonly failures: number;
  readonly commits: string;
}

const runsAtOnce = 300;
const deepSteps = 10;
const wideRuns = 10;
const wideTargets = 500;

/** Replicas that share a ledger, each with its part of the runners; the first one leads. */
const startReplicas = async (launcher: Launcher, site: Site, replicas: number) => {
  const operators: Program<OperatorHandlers>[] = [];
  const fleets: Fleet[] = [];
  const share = Math.ceil(runners / replicas);
  for (let replica = 0; replica < replicas; replica++) {
    const { operator, server } = await startOperatorProgram(launcher, site, { replica });
    const to = Math.min(runners, (replica + 1) * share);
    const part = { ...site, name: `${site.name}-${replica}`, runners: to };
    fleets.push(
      await startFleet(launcher, part, server, { capacity, perSecond: 100, from: replica * share }),
    );
    await arePolling(operator, to - replica * share, 60_000);
    operators.push(operator);
  }
  return { operators, fleets };
};

const measure = async ({ launcher, scale }: Bench, site: Site, replicas: number): Promise<Cycle> => {
  const { operators, fleets } = await startReplicas(launcher, site, replicas);
  const [leader] = operators;
  if (leader === undefined) throw new Error('there is no replica');
  const targets = Math.ceil(wideTargets * scale);
  await leader.call('addTargets', targets);
  await leader.call('addWorkflow', { name: 'warm', spec: { steps: steps(3) } });
  await leader.call('addWorkflow', { name: 'deep', spec: { steps: steps(deepSteps) } });
  const all = { targets: { matchLabels: { bench: 'all' } } };
  await leader.call('addWorkflow', { name: 'wide', spec: { steps: steps(1, all) } });
  const runs = Math.ceil(runsAtOnce * scale);
  await pace(operators, { workflow: 'warm', runs: 100, tasksPerRun: 3 });
  const deep = await pace(operators, { workflow: 'deep', runs, tasksPerRun: deepSteps });
  const wide = await pace(operators, { workflow: 'wide', runs: wideRuns, tasksPerRun: targets });
  const { commits, commitMs, synchronous } = await leader.call('diagnostics');
  const failures = await Promise.all(fleets.map((fleet) => fleet.all((each) => each.call('failures'))));
  await Promise.all(fleets.map((fleet) => fleet.stop()));
  await Promise.all(operators.map((operator) => operator.stop()));
  return {
    deep,
    wide,
    failures: failures.flat(2).reduce((sum, [, count]) => sum + count, 0),
    commits: `synchronous ${synchronous}, ${commits} group commits of the leader, p50 ${ms(percentile(commitMs, 0.5))}, p99 ${ms(percentile(commitMs, 0.99))}`,
  };
};

const rowsOf = (where: string, { deep, wide, failures }: Cycle, goal?: number): Row[] => {
  const show = (value: number): string => `${value.toFixed(0)} / s`;
  const rate = (figure: string, value: number): Row =>
    goal === undefined ? { figure, value: show(value) } : atLeast(figure, value, { goal, show });
  return [
    rate(`${where}: ${deep.tasks} tasks, many runs at once`, deep.perSecond),
    rate(`${where}: ${wide.tasks} tasks, ${wideRuns} runs of many targets`, wide.perSecond),
    {
      figure: `${where}: processor time of the operators a task`,
      value: `${ms(deep.cpuMs)} / ${ms(wide.cpuMs)}`,
    },
    atMost(`${where}: event loop delay, p99`, Math.max(deep.loopDelay, wide.loopDelay), {
      goal: 50,
      show: ms,
    }),
    ...(failures === 0 ? [] : [{ figure: `${where}: requests that failed`, value: `${failures}` }]),
  ];
};

const onSqlite = async (bench: Bench): Promise<Cycle> => {
  const { footprint, launcher } = bench;
  return measure(bench, await registerRunners({ footprint, launcher, name: 'cycle', runners }), 1);
};

const onPostgres = async (bench: Bench, postgres: Postgres, replicas: number): Promise<Cycle> => {
  const { footprint, launcher } = bench;
  const ledgerUrl = await postgres.createDatabase('bench');
  const name = `cycle-postgres-${replicas}`;
  return measure(bench, await registerRunners({ footprint, launcher, name, runners, ledgerUrl }), replicas);
};

/** Offer, accept, start, result: each acknowledged after its commit. */
export const measureCycle = async (bench: Bench): Promise<Section> => {
  const sqlite = await onSqlite(bench);
  const postgres = await startPostgres({ footprint: bench.footprint });
  const one = await onPostgres(bench, postgres, 1);
  const three = await onPostgres(bench, postgres, 3);
  return {
    title: 'Tasks per second',
    text: `${runners} simulated runners with ${capacity} slots each take offers, accept them, report their start and then their result: each answered after its commit. Two shapes: ${Math.ceil(runsAtOnce * bench.scale)} runs of ${deepSteps} steps one after the other, all at once; and ${wideRuns} runs of one step on ${Math.ceil(wideTargets * bench.scale)} targets. Three replicas share the same processors, so that they show what sharing costs rather than what it gains.`,
    rows: [
      ...rowsOf('SQLite', sqlite, goalPerSecond),
      ...rowsOf('PostgreSQL, 1 replica', one),
      ...rowsOf('PostgreSQL, 3 replicas', three),
    ],
    notes: `SQLite: ${sqlite.commits}. PostgreSQL: ${one.commits}; with three replicas: ${three.commits}. For scale, not in the same run: Temporal's development server did 25 steps a second with 300 workflows at once on such a machine.`,
  };
};
