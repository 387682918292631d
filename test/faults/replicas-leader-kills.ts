import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { replicaFlags, ReplicaStack } from '../e2e/replicas-stack.ts';
import { waitFor } from '../servers/wait.ts';

export interface LeaderKills {
  /** Runs of three steps. Every tenth fails in its last step, with exit code 3. */
  readonly runs: number;
  readonly kills: number;
  /** Of the moments of the kills. */
  readonly seed: number;
  /** Told of each kill, and of what is open afterwards. */
  readonly onProgress?: (text: string) => void;
}

export interface LeaderKillsReport {
  /** Runs that ended as their scripts did. */
  readonly trueResults: number;
  /** The others, as `name phase`. */
  readonly wrong: readonly string[];
  /** Counted in a file that the scripts append to. */
  readonly executions: number;
  /** Steps that were executed more than once or never, as `run step count`. */
  readonly miscounted: readonly string[];
  /** Kills of the replica that held the Lease. */
  readonly kills: number;
  /** From each kill until another replica held the Lease, in milliseconds, ascending. */
  readonly takeoverMs: readonly number[];
  readonly seconds: number;
}

const replicas = 3;
const steps = ['one', 'two', 'three'] as const;
/** Longest time that a leader lives before it is killed. */
const longestLifeMs = 4000;

/** mulberry32: from 0 to below 1. */
const randomFrom = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
};

const fails = (index: number): boolean => index % 10 === 9;

interface Site {
  readonly stack: ReplicaStack;
  readonly witness: string;
  readonly names: readonly string[];
}

const prepare = async (stack: ReplicaStack, runs: number): Promise<Site> => {
  await stack.startReplicas(replicas, [...replicaFlags, '--leader-lease', '8s']);
  for (const name of ['first', 'second']) {
    await stack.startRunner(name, { flags: ['--local-exec', '--capacity', '6'] });
    await stack.allowLocalExec(name);
  }
  const witness = join(stack.footprint.subfolder('witness'), 'executions');
  const script = (last: string): string =>
    `echo "$OUTRIDER_RUN $OUTRIDER_STEP" >>'${witness}'\nsleep 0.2\n${last}`;
  for (const [workflow, last] of [
    ['good', 'exit 0'],
    ['bad', 'exit 3'],
  ] as const)
    await stack.workflow(workflow, {
      steps: steps.map((name) => ({
        name,
        node: 'local-exec',
        script: script(name === 'three' ? last : 'exit 0'),
      })),
    });
  const id = randomBytes(3).toString('hex');
  return { stack, witness, names: Array.from({ length: runs }, (_, index) => `kills-${id}-${index}`) };
};

const startRuns = ({ stack, names }: Site, from: number, to: number): Promise<void> =>
  stack.apply(
    ...names.slice(from, to).map((name, index) => ({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'WorkflowRun',
      metadata: { name },
      spec: { workflowRef: { name: fails(from + index) ? 'bad' : 'good' } },
    })),
  );

/** A leader that the machine did not let renew its Lease in time has ended by itself: it is started again, too. */
const waitForLeader = async ({ replicas }: ReplicaStack): Promise<number> => {
  let leader: number | undefined;
  const look = async (): Promise<boolean> => {
    leader = await replicas.leader();
    if (leader === undefined) await replicas.revive();
    return leader !== undefined;
  };
  await waitFor('a replica to lead', look, { timeoutMs: 120_000 });
  return leader ?? 0;
};

/** Kills whoever leads, waits for another, and starts the killed one again; resolves with the time between. */
const killLeader = async ({ stack }: Site, lifeMs: number): Promise<number> => {
  await stack.replicas.revive();
  const leader = await waitForLeader(stack);
  await sleep(lifeMs);
  const killedAt = performance.now();
  await stack.replicas.kill(leader);
  await stack.replicas.waitForLeader(30_000).catch(() => waitForLeader(stack));
  const takeoverMs = performance.now() - killedAt;
  await waitFor('all replicas to serve', async () => (await stack.replicas.revive()) === 0, {
    timeoutMs: 300_000,
  });
  return takeoverMs;
};

const phasesOf = async ({ stack }: Site): Promise<ReadonlyMap<string, string>> => {
  const path = '{range .items[*]}{.metadata.name} {.status.phase} {.status.completionTime}{"\\n"}{end}';
  const lines = (await stack.kubectl('get', 'workflowruns', '-o', `jsonpath=${path}`)).trim().split('\n');
  return new Map(
    lines.map((line) => {
      const [name = '', phase = '', ended = ''] = line.split(' ');
      return [name, ended === '' ? `${phase} (open)` : phase];
    }),
  );
};

const openRuns = async (site: Site): Promise<number> =>
  [...(await phasesOf(site)).values()].filter((phase) => phase.endsWith('(open)')).length;

const count = (witness: string): ReadonlyMap<string, number> => {
  const counted = new Map<string, number>();
  const lines = existsSync(witness) ? readFileSync(witness, 'utf8').split('\n') : [];
  for (const line of lines) if (line !== '') counted.set(line, (counted.get(line) ?? 0) + 1);
  return counted;
};

const conclude = async (site: Site): Promise<Omit<LeaderKillsReport, 'kills' | 'takeoverMs' | 'seconds'>> => {
  const phases = await phasesOf(site);
  const counted = count(site.witness);
  const wrong = site.names.flatMap((name, index) => {
    const phase = phases.get(name) ?? 'gone';
    return phase === (fails(index) ? 'Failed' : 'Succeeded') ? [] : [`${name} ${phase}`];
  });
  const miscounted = site.names.flatMap((name) =>
    steps.flatMap((step) => {
      const times = counted.get(`${name} ${step}`) ?? 0;
      return times === 1 ? [] : [`${name} ${step} ${times}`];
    }),
  );
  const executions = [...counted.values()].reduce((sum, each) => sum + each, 0);
  return { trueResults: site.names.length - wrong.length, wrong, executions, miscounted };
};

/**
 * Three shipped replicas on one PostgreSQL, two runners behind the balancer: while the runs come in evenly, the leader is
 * killed again and again, each at a random moment of its life.
 */
export const leaderKills = async ({
  runs,
  kills,
  seed,
  onProgress = () => undefined,
}: LeaderKills): Promise<LeaderKillsReport> => {
  const stack = new ReplicaStack();
  const began = performance.now();
  const seconds = (): number => Math.round((performance.now() - began) / 1000);
  const random = randomFrom(seed);
  const takeoverMs: number[] = [];
  try {
    const site = await prepare(stack, runs);
    for (let kill = 0; kill < kills; kill += 1) {
      const share = (part: number): number => Math.round((runs * part) / kills);
      await Promise.all([
        startRuns(site, share(kill), share(kill + 1)),
        killLeader(site, random() * longestLifeMs).then((ms) => takeoverMs.push(ms)),
      ]);
      onProgress(`${seconds()} s: kill ${kill + 1}, ${await openRuns(site)} runs open`);
    }
    await waitFor(
      'all runs to end',
      async () => {
        const open = await openRuns(site);
        onProgress(`${seconds()} s: ${open} runs open`);
        return open === 0;
      },
      { timeoutMs: 120_000 + runs * 200, intervalMs: 3000 },
    ).catch(() => false);
    takeoverMs.sort((a, b) => a - b);
    return { ...(await conclude(site)), kills: takeoverMs.length, takeoverMs, seconds: seconds() };
  } finally {
    await stack.stop();
  }
};
