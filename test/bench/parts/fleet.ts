import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../servers/wait.ts';
import { percentile } from '../figures.ts';
import type { Bench } from '../harness/bench.ts';
import { arePolling, offerDelays, steps } from '../harness/offers.ts';
import type { Program } from '../harness/program.ts';
import { atMost, mb, ms, percent, times, type Section } from '../harness/section.ts';
import {
  registerRunners,
  startFleet,
  startOperatorProgram,
  type Fleet,
  type Site,
} from '../harness/site-setup.ts';
import { cores, type Usage } from '../harness/usage.ts';
import type { BareHttpsHandlers } from '../programs/bare-https.ts';
import type { OperatorHandlers } from '../programs/operator.ts';

const processes = 2;
const perSecond = 250;
/** Until every poll of the start has been answered once, so that polls come evenly. */
const settleMs = 25_000;
/** Two polls of each runner. */
const idleMs = 40_000;
const offersPerSecond = 20;
const offersForMs = 20_000;
const stormGoalMs = 60_000;

interface Idle {
  readonly cores: number;
  readonly rssMb: number;
  readonly loopDelay: number;
}

/** What holding the polls costs, with nothing else to do. */
const measureIdle = async (server: {
  usage(): Promise<Usage>;
  resetLoopDelay(): Promise<void>;
}): Promise<Idle> => {
  await sleep(settleMs);
  await server.resetLoopDelay();
  const before = await server.usage();
  await sleep(idleMs);
  const after = await server.usage();
  return { cores: cores(before, after), rssMb: after.rssMb, loopDelay: after.loopDelayP99 };
};

const measureOffers = async (operator: Program<OperatorHandlers>, fleet: Fleet): Promise<number[]> => {
  await operator.call('addWorkflow', { name: 'single', spec: { steps: steps(1) } });
  const begun = performance.now();
  const count = (offersForMs / 1000) * offersPerSecond;
  for (let i = 0; i < count; i++) {
    const early = (i * 1000) / offersPerSecond - (performance.now() - begun);
    if (early > 0) await sleep(early);
    await operator.call('startRuns', { workflow: 'single', names: [`offer-${i}`] });
  }
  const ended = async (): Promise<boolean> => (await operator.call('ended')) >= count;
  const detail = async (): Promise<string> =>
    JSON.stringify([await operator.call('ended'), await fleet.all((each) => each.call('failures'))]);
  await waitFor('all offered work to end', ended, { timeoutMs: 60_000, detail });
  return offerDelays(operator, fleet);
};

/** Milliseconds from the cut of every connection until every runner's poll is held again. */
const measureStorm = async (
  operator: Program<OperatorHandlers>,
  fleet: Fleet,
  site: Site,
): Promise<number> => {
  await operator.call('resetLoopDelay');
  const begun = performance.now();
  await fleet.all((each) => each.call('cut'));
  await waitFor(
    'the operator to notice',
    async () => (await operator.call('usage')).polls < site.runners / 2,
  );
  await arePolling(operator, site.runners, 2 * stormGoalMs);
  return performance.now() - begun;
};

const measureOperator = async ({ launcher }: Bench, site: Site) => {
  const { operator, server } = await startOperatorProgram(launcher, site);
  const fleet = await startFleet(launcher, site, server, { capacity: 2, perSecond, processes });
  await arePolling(operator, site.runners, 300_000);
  const idle = await measureIdle({
    usage: () => operator.call('usage'),
    resetLoopDelay: () => operator.call('resetLoopDelay'),
  });
  const offers = await measureOffers(operator, fleet);
  const { loopDelayP99: loopDelay } = await operator.call('usage');
  const failures = (await fleet.all((each) => each.call('failures'))).flat();
  const storm = await measureStorm(operator, fleet, site);
  const stormLoopDelay = (await operator.call('usage')).loopDelayP99;
  await fleet.stop();
  await operator.stop();
  return { idle, offers, loopDelay, storm, stormLoopDelay, failures };
};

const measureBare = async ({ launcher }: Bench, site: Site): Promise<Idle> => {
  const bare = await launcher.start<BareHttpsHandlers>('bare-https', { name: `${site.name}-bare` });
  const server = await bare.call('open', { dataDir: site.dataDir });
  const fleet = await startFleet(launcher, site, server, {
    capacity: 2,
    perSecond,
    processes,
    sessions: false,
  });
  const idle = await measureIdle({
    usage: () => bare.call('usage'),
    resetLoopDelay: () => bare.call('resetLoopDelay'),
  });
  await fleet.stop();
  await bare.stop();
  return idle;
};

export const measureFleet = async (bench: Bench): Promise<Section> => {
  const { footprint, launcher, scale } = bench;
  const runners = Math.round(10_000 * scale);
  const site = await registerRunners({ footprint, launcher, name: 'fleet', runners });
  const measured = await measureOperator(bench, site);
  const bare = await measureBare(bench, site);
  const { idle, offers } = measured;
  const failed = measured.failures.reduce((sum, [, count]) => sum + count, 0);
  return {
    title: `${runners.toLocaleString('en')} idle runners on one replica`,
    text: `Simulated runners in ${processes} processes hold a poll each over TLS 1.3, with a fresh DPoP proof a poll and a token renewed every 150 s. Processor time and memory are those of the operator's process alone; the baseline is a bare \`node:https\` server that parses and holds the same polls, with the same keepalives, in the same run. The operator's process has mirrors in memory in place of a Kubernetes API server, and the runners were put into its ledger instead of registering.`,
    rows: [
      { figure: 'memory, bare server', value: mb(bare.rssMb) },
      { figure: 'memory, operator', value: mb(idle.rssMb) },
      atMost('memory, ratio', idle.rssMb / bare.rssMb, { goal: 1.25, show: times }),
      { figure: 'processor, bare server', value: `${percent(bare.cores)} of a core` },
      { figure: 'processor, operator', value: `${percent(idle.cores)} of a core` },
      atMost('processor, ratio', idle.cores / bare.cores, { goal: 2, show: times }),
      {
        figure: `an offer's way from ready to the runner, p50 of ${offers.length}`,
        value: ms(percentile(offers, 0.5)),
      },
      atMost('the same, p99', percentile(offers, 0.99), { goal: 100, show: ms }),
      { figure: 'requests that failed before the storm', value: `${failed}` },
      atMost('reconnect storm: all connections cut, until all polls are held again', measured.storm / 1000, {
        goal: stormGoalMs / 1000,
        show: (value) => `${value.toFixed(1)} s`,
      }),
      atMost('event loop delay, p99, idle and offering', measured.loopDelay, { goal: 50, show: ms }),
      atMost('event loop delay, p99, in the storm', measured.stormLoopDelay, { goal: 50, show: ms }),
      { figure: 'event loop delay, p99, bare server', value: ms(bare.loopDelay) },
    ],
  };
};
