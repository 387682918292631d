import { setTimeout as sleep } from 'node:timers/promises';
import { workflowRuns } from '@outrider/operator/kube/resources';
import { waitFor } from '../../servers/wait.ts';
import { percentile } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import { atMost, ms, type Section } from '../harness/section.ts';
import { createPoster, startShipped, type Shipped } from '../harness/shipped.ts';
import { runOf, threeSteps } from './idle.ts';
import { readStarts } from './ledger-file.ts';

const namespace = 'bench-load';
const stepsPerRun = 3;
const capacity = 16;
const share = 0.8;
/** Both of the generator's phases have a bound: so many runs, or so many seconds. */
const saturationRuns = 100;
const loadSeconds = 30;
const restMs = 500;

type Post = (run: string) => Promise<void>;

/** The instant at which no task was open any more; between two steps of a run there is a moment without one, too. */
const allEnded = async (shipped: Shipped): Promise<number> => {
  let since: number | undefined;
  const rested = async (): Promise<number | undefined> => {
    const open = await shipped.metric('outrider_open_tasks');
    since = open === 0 ? (since ?? performance.now()) : undefined;
    return since !== undefined && performance.now() - since > restMs ? since : undefined;
  };
  return waitFor('all runs to end', rested, { timeoutMs: 180_000, intervalMs: 50 });
};

/** Steps per second when everything is there at once. */
const saturate = async (shipped: Shipped, post: Post, runs: number): Promise<number> => {
  const begun = performance.now();
  const names = Array.from({ length: runs }, (_, i) => `saturated-${i}`);
  await Promise.all(names.map((name) => post(name)));
  const ended = await allEnded(shipped);
  return (runs * stepsPerRun * 1000) / (ended - begun);
};

/** Runs at a rate that does not wait for the system, their distances exponential. */
const generate = async (post: Post, perSecond: number, seconds: number): Promise<number> => {
  const begun = performance.now();
  const sent: Promise<void>[] = [];
  let due = 0;
  while (due < seconds * 1000) {
    const early = due - (performance.now() - begun);
    if (early > 0) await sleep(early);
    sent.push(post(`loaded-${sent.length}`));
    due += (-Math.log(1 - Math.random()) * 1000) / perSecond;
  }
  await Promise.all(sent);
  return sent.length;
};

export const measureLoad = async ({ footprint, scale }: Bench): Promise<Section> => {
  const shipped = await startShipped({
    footprint,
    namespace,
    runnerFlags: ['--local-exec', '--capacity', `${capacity}`],
    nodes: ['local-exec'],
  });
  await shipped.apply(threeSteps(namespace));
  const client = createPoster(shipped.controlPlane);
  const post: Post = async (run) => {
    await client.create(workflowRuns, namespace, runOf(namespace, 'three', run));
  };
  await post('warm-0');
  await allEnded(shipped);
  const perSecond = await saturate(shipped, post, Math.ceil(saturationRuns * scale));
  const runs = await generate(post, (share * perSecond) / stepsPerRun, Math.ceil(loadSeconds * scale));
  await allEnded(shipped);
  const loopDelay = (await shipped.metric('outrider_event_loop_delay_p99_seconds')) * 1000;
  await shipped.operator.process.stop();
  const loaded = readStarts(shipped.operator.dataDir, 'loaded');
  return {
    title: 'Start latency at 80 % load',
    text: `First ${Math.ceil(saturationRuns * scale)} runs of ${stepsPerRun} \`local-exec\` steps at once, for the most that the shipped operator and one runner with ${capacity} slots carry on this machine; then ${runs} runs at ${share * 100} % of that rate, created at random instants whether the earlier ones have ended or not.`,
    rows: [
      { figure: 'most steps per second', value: `${perSecond.toFixed(0)} / s` },
      { figure: 'offered load', value: `${(share * perSecond).toFixed(0)} / s` },
      { figure: 'carried', value: `${loaded.stepsPerSecond.toFixed(0)} / s` },
      { figure: 'ready to executor entry, p50', value: ms(percentile(loaded.latencies, 0.5)) },
      { figure: 'ready to executor entry, p99', value: ms(percentile(loaded.latencies, 0.99)) },
      atMost('event loop delay of the operator, p99', loopDelay, { goal: 50, show: ms }),
    ],
    notes:
      'Every step is a process that the runner starts, and API server, etcd and the generator take their share of the same processors: the limit is the machine rather than the operator.',
  };
};
