import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { startControlPlane, type ControlPlane } from '../servers/control-plane.ts';
import { must } from '../servers/command.ts';
import { Footprint } from '../servers/footprint.ts';
import { bundle, startOperator, startRunner, type Operator } from '../servers/outrider.ts';
import { repositoryRoot } from '../servers/paths.ts';
import { waitFor } from '../servers/wait.ts';
import { countWrites, difference, residentMb } from './figures.ts';
import { readLedger } from './ledger-file.ts';
import { missedMark, renderReport, type Memory } from './report.ts';
import { measureFsync, measureRoundTrip } from './floor.ts';

const namespace = 'bench';
const warmUp = 5;
const runs = 60;
/** Until what a start has left behind is collected. */
const settleMs = 10_000;
/** Longer than a runner keeps its executor thread. */
const restSeconds = 140;
const apiVersion = 'outrider.dev/v1alpha1';

const step = (name: string) => ({ name, node: 'local-exec', script: 'exit 0\n' });
const workflow = {
  apiVersion,
  kind: 'Workflow',
  metadata: { name: 'three', namespace },
  spec: { steps: ['a', 'b', 'c'].map(step) },
};
const aRun = (name: string) => ({
  apiVersion,
  kind: 'WorkflowRun',
  metadata: { name, namespace },
  spec: { workflowRef: { name: 'three' } },
});

const apply = (controlPlane: ControlPlane, ...documents: readonly object[]): Promise<string> =>
  controlPlane.mustKubectl(['apply', '--server-side', '-f', '-'], {
    input: documents.map((each) => stringify(each)).join('---\n'),
  });

/** One run after the other, each created with one write; resolves with what a run took by the API server's clock of phases. */
const executeRuns = async (controlPlane: ControlPlane, prefix: string, count: number): Promise<number[]> => {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const name = `${prefix}-${i}`;
    const begun = performance.now();
    await controlPlane.mustKubectl(['create', '-f', '-'], { input: stringify(aRun(name)) });
    await controlPlane.mustKubectl([
      '-n',
      namespace,
      'wait',
      `workflowrun/${name}`,
      '--for=jsonpath={.status.phase}=Succeeded',
      '--timeout=30s',
    ]);
    times.push(performance.now() - begun);
  }
  return times;
};

const metric = async (operator: Operator, name: string): Promise<number> => {
  const text = await (await fetch(`${operator.metricsUrl}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
};

const measure = async (footprint: Footprint): Promise<string> => {
  const controlPlane = await startControlPlane({ footprint });
  const operator = await startOperator({ footprint, controlPlane });
  await controlPlane.mustKubectl(['create', 'namespace', namespace]);
  await apply(controlPlane, workflow, {
    apiVersion,
    kind: 'Runner',
    metadata: { name: 'bench', namespace },
    spec: { allow: { nodes: ['local-exec'] } },
  });
  const env = { KUBECONFIG: controlPlane.adminKubeconfig, XDG_CACHE_HOME: footprint.subfolder('cache') };
  const token = (
    await must(
      process.execPath,
      [bundle('cli', 'outrider.js'), '-n', namespace, 'runner', 'token', '-o', 'name'],
      { env },
    )
  ).trim();
  const runner = await startRunner({ footprint, name: 'bench', token, flags: ['--local-exec'] });
  const isOnline = async (): Promise<boolean> =>
    (await controlPlane.mustKubectl([
      '-n',
      namespace,
      'get',
      'runner',
      'bench',
      '-o',
      'jsonpath={.status.phase}',
    ])) === 'Online';
  await waitFor('the runner to be Online', isOnline);
  const metrics = () => controlPlane.mustKubectl(['get', '--raw', '/metrics']);
  const memory = (): Memory => ({
    operator: residentMb(operator.process.pid),
    runner: residentMb(runner.process.pid),
  });
  await sleep(settleMs);
  const fresh = memory();

  await executeRuns(controlPlane, 'warm', warmUp);
  const before = countWrites(await metrics());
  const wall = await executeRuns(controlPlane, 'measured', runs);
  const writes = difference(countWrites(await metrics()), before);
  const loopDelay = (await metric(operator, 'outrider_event_loop_delay_p99_seconds')) * 1000;
  const roundTrip = await measureRoundTrip(operator.runnerApiUrl);
  const fsync = measureFsync(operator.dataDir);
  await sleep(restSeconds * 1000);
  const rested = memory();
  await executeRuns(controlPlane, 'rested', 1);
  await operator.process.stop();
  const executed = readLedger(operator.dataDir);
  return renderReport({
    executed,
    wall,
    writes,
    runs,
    warmUp,
    fresh,
    rested,
    restSeconds,
    loopDelay,
    roundTrip,
    fsync,
  });
};

const footprint = Footprint.temporary('bench');
try {
  const report = await measure(footprint);
  writeFileSync(join(repositoryRoot, 'docs', 'benchmarks.md'), report);
  console.log(report);
  if (report.includes(missedMark)) console.error('A goal was missed: see the table.');
} finally {
  await footprint.end();
}
