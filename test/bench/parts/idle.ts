import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { countWrites, difference, residentMb } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import type { Section } from '../harness/section.ts';
import { apiVersion, startShipped, type Shipped } from '../harness/shipped.ts';
import { measureFsync, measureRoundTrip } from './floor.ts';
import { idleSection, type Memory } from './idle-report.ts';
import { readLedger } from './ledger-file.ts';

const warmUp = 5;
/** Until what a start has left behind is collected. */
const settleMs = 10_000;
/** Longer than a runner keeps its executor thread. */
const restSeconds = 140;
const namespace = 'bench-idle';

export const threeSteps = (of: string) => ({
  apiVersion,
  kind: 'Workflow',
  metadata: { name: 'three', namespace: of },
  spec: { steps: ['a', 'b', 'c'].map((name) => ({ name, node: 'local-exec', script: 'exit 0\n' })) },
});
export const runOf = (of: string, workflow: string, name: string) => ({
  apiVersion,
  kind: 'WorkflowRun',
  metadata: { name, namespace: of },
  spec: { workflowRef: { name: workflow } },
});

/** One run after the other, each created with one write; resolves with what a run took by the API server's clock of phases. */
const executeRuns = async ({ controlPlane }: Shipped, prefix: string, count: number): Promise<number[]> => {
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const name = `${prefix}-${i}`;
    const begun = performance.now();
    const input = stringify(runOf(namespace, 'three', name));
    await controlPlane.mustKubectl(['create', '-f', '-'], { input });
    const wanted = '--for=jsonpath={.status.phase}=Succeeded';
    await controlPlane.mustKubectl(['-n', namespace, 'wait', `workflowrun/${name}`, wanted, '--timeout=30s']);
    took.push(performance.now() - begun);
  }
  return took;
};

export const measureIdle = async ({ footprint, scale }: Bench): Promise<Section> => {
  const runs = Math.ceil(60 * scale);
  const shipped = await startShipped({
    footprint,
    namespace,
    runnerFlags: ['--local-exec'],
    nodes: ['local-exec'],
  });
  const { controlPlane, operator, runner } = shipped;
  await shipped.apply(threeSteps(namespace));
  const metrics = () => controlPlane.mustKubectl(['get', '--raw', '/metrics']);
  const memory = (): Memory => ({
    operator: residentMb(operator.process.pid),
    runner: residentMb(runner.process.pid),
  });
  await sleep(settleMs);
  const fresh = memory();

  await executeRuns(shipped, 'warm', warmUp);
  const before = countWrites(await metrics());
  const wall = await executeRuns(shipped, 'measured', runs);
  const writes = difference(countWrites(await metrics()), before);
  const loopDelay = (await shipped.metric('outrider_event_loop_delay_p99_seconds')) * 1000;
  const roundTrip = await measureRoundTrip(operator.runnerApiUrl);
  const fsync = measureFsync(operator.dataDir);
  await sleep(restSeconds * 1000);
  const rested = memory();
  await executeRuns(shipped, 'rested', 1);
  await operator.process.stop();
  const executed = readLedger(operator.dataDir);
  const figures = { executed, wall, writes, runs, warmUp, fresh, rested };
  return idleSection({ ...figures, restSeconds, loopDelay, roundTrip, fsync });
};
