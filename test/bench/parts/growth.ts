import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../servers/wait.ts';
import type { Bench } from '../harness/bench.ts';
import { arePolling, haveEnded, steps } from '../harness/offers.ts';
import { ms, type Row, type Section } from '../harness/section.ts';
import { registerRunners, startFleet, startOperatorProgram } from '../harness/site-setup.ts';
import { cores } from '../harness/usage.ts';
import { pace } from './cycle.ts';

const factors = [1, 10, 100];
const firstTargets = 50;
const firstRunners = 50;
const firstLogBytes = 1_000_000;
const settleMs = 10_000;
const idleMs = 20_000;

const sized = (value: number): string => value.toLocaleString('en');

/** One run on ever more Targets: what a task costs must not depend on how many there are. */
const growTargets = async ({ footprint, launcher, scale }: Bench): Promise<Row[]> => {
  const site = await registerRunners({ footprint, launcher, name: 'growth-targets', runners: 10 });
  const { operator, server } = await startOperatorProgram(launcher, site);
  const fleet = await startFleet(launcher, site, server, { capacity: 50, perSecond: 100 });
  await arePolling(operator, 10, 30_000);
  await operator.call('addWorkflow', { name: 'warm', spec: { steps: steps(3) } });
  await pace([operator], { workflow: 'warm', runs: 100, tasksPerRun: 3 });
  const rows: Row[] = [];
  for (const factor of factors) {
    const targets = Math.ceil(firstTargets * factor * scale);
    const name = `wide-${factor}`;
    await operator.call('addTargets', targets);
    const all = { targets: { matchLabels: { bench: 'all' } } };
    await operator.call('addWorkflow', { name, spec: { steps: steps(1, all) } });
    const run = await pace([operator], { workflow: name, runs: 1, tasksPerRun: targets });
    rows.push({
      figure: `one run on ${sized(targets)} targets`,
      value: `${run.perSecond.toFixed(0)} tasks / s, ${ms(run.cpuMs)} of processor time a task, event loop delay p99 ${ms(run.loopDelay)}`,
    });
  }
  await fleet.stop();
  await operator.stop();
  return rows;
};

const idleWith = async ({ footprint, launcher }: Bench, runners: number): Promise<Row> => {
  const site = await registerRunners({ footprint, launcher, name: `growth-${runners}`, runners });
  const { operator, server } = await startOperatorProgram(launcher, site);
  const { rssMb: empty } = await operator.call('usage');
  const fleet = await startFleet(launcher, site, server, { capacity: 2, perSecond: 250, processes: 2 });
  await arePolling(operator, runners, 300_000);
  await sleep(settleMs);
  const before = await operator.call('usage');
  await sleep(idleMs);
  const after = await operator.call('usage');
  await fleet.stop();
  await operator.stop();
  const kilobytes = ((after.rssMb - empty) * 1000) / runners;
  return {
    figure: `${sized(runners)} idle runners`,
    value: `${after.rssMb.toFixed(0)} MB, ${kilobytes.toFixed(0)} kB a runner; ${(cores(before, after) * 100).toFixed(1)} % of a core, ${ms((after.cpuMs - before.cpuMs) / runners)} a poll`,
  };
};

const growRunners = async (bench: Bench): Promise<Row[]> => {
  const rows: Row[] = [];
  for (const factor of factors)
    rows.push(await idleWith(bench, Math.ceil(firstRunners * factor * bench.scale)));
  return rows;
};

/** One log that becomes ever longer: what it costs to add to it, and to read its end. */
const growLogs = async ({ footprint, launcher, scale }: Bench): Promise<Row[]> => {
  const site = await registerRunners({ footprint, launcher, name: 'growth-logs', runners: 1 });
  const { operator, server } = await startOperatorProgram(launcher, site);
  const fleet = await startFleet(launcher, site, server, { capacity: 1, perSecond: 100 });
  await arePolling(operator, 1, 30_000);
  await operator.call('addWorkflow', { name: 'loud', spec: { steps: steps(1) } });
  const rows: Row[] = [];
  for (const [index, factor] of factors.entries()) {
    const bytes = Math.round(firstLogBytes * factor * scale);
    await fleet.all((each) => each.call('writeLogs', { bytesPerAttempt: bytes }));
    const before = await operator.call('usage');
    await operator.call('startRuns', { workflow: 'loud', names: [`loud-${index}`] });
    await haveEnded(operator, index + 1, 120_000);
    const after = await operator.call('usage');
    const task = (await operator.call('takeReady')).at(-1)?.[0] ?? '';
    const begun = performance.now();
    const from = await waitFor('the end of the log', () => operator.call('logEnd', { task }));
    const lines = await operator.call('logLines', { task, from: Math.max(0, from - 100), limit: 100 });
    const took = performance.now() - begun;
    rows.push({
      figure: `one log of ${(bytes / 1e6).toFixed(0)} MB`,
      value: `${(bytes / 1000 / (after.cpuMs - before.cpuMs)).toFixed(0)} MB per second of processor time; its last ${lines.length} lines in ${ms(took)}`,
    });
  }
  await fleet.stop();
  await operator.stop();
  return rows;
};

export const measureGrowth = async (bench: Bench): Promise<Section> => ({
  title: 'How it grows',
  text: 'The same at 1×, 10× and 100×, by simulated runners and the operator without a Kubernetes API server, as above.',
  rows: [...(await growTargets(bench)), ...(await growRunners(bench)), ...(await growLogs(bench))],
});
