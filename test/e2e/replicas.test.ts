import { text } from 'node:stream/consumers';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import type { WorkflowRun } from '@outrider/kinds';
import { waitFor } from '../servers/wait.ts';
import { startWitnessed, stepOf } from './faults-fixture.ts';
import { useReplicaStack } from './replicas-stack.ts';

const stack = useReplicaStack(3);
const all = [0, 1, 2] as const;

beforeAll(async () => {
  await stack.startRunner('worker', { flags: ['--local-exec', '--capacity', '8'] });
  await stack.allowLocalExec('worker');
});

/** A replica that could not renew its Lease on a busy machine has ended, as it should; nobody starts it again but us. */
beforeEach(async () => {
  await stack.replicas.revive();
});

/** New connections, and those that are open, go to these from now on. */
const moveRunnersTo = (...runners: readonly number[]): void => {
  stack.replicas.route({ runners });
  stack.replicas.runnerApi.cut();
};

const others = (index: number): readonly number[] => all.filter((each) => each !== index);

const endOf = async (name: string): Promise<WorkflowRun> => stack.waitForEnd(name, 90_000);

test.each(all)(
  'a run succeeds whose runner knows only replica %i, and its log is read at another',
  async (index) => {
    moveRunnersTo(index);
    stack.replicas.route({ runners: [index], people: others(index) });
    const { name, witness } = await startWitnessed(stack, `at-${index}`, { node: 'local-exec' });
    const following = stack.spawnCli(['logs', name, '-f']);
    const followed = following.stdout ? text(following.stdout) : Promise.reject(new Error('no output'));
    await witness.begun();
    witness.open();
    const run = await endOf(name);
    expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', attempts: 1, exitCode: 0 });
    expect(witness.executions()).toBe(1);
    expect(await followed).toContain('ended');
    expect(await stack.mustCli('logs', name, '--raw')).toBe('begun\nended\n');
  },
);

test('runs succeed while the connections of runners and people go from replica to replica', async () => {
  moveRunnersTo(...all);
  stack.replicas.route({});
  const runs = await Promise.all(
    Array.from({ length: 6 }, (_, n) =>
      startWitnessed(stack, `turns-${n}`, { node: 'local-exec', script: `exit ${n % 2}` }),
    ),
  );
  // An offer that is on its way when its connection is cut would run out, and be made again.
  for (const { witness } of runs) await witness.begun();
  for (const { witness } of runs) {
    stack.replicas.runnerApi.cut();
    witness.open();
  }
  for (const [n, { name, witness }] of runs.entries()) {
    expect(stepOf(await endOf(name))).toMatchObject({
      phase: n % 2 === 0 ? 'Succeeded' : 'Failed',
      exitCode: n % 2,
      attempts: 1,
    });
    expect(witness.executions()).toBe(1);
  }
});

test('the leader is killed amid a run: another leads, and the run ends with its true result', async () => {
  const leader = await stack.replicas.waitForLeader();
  moveRunnersTo(...others(leader));
  stack.replicas.route({ runners: others(leader), people: others(leader) });
  const { name, witness } = await startWitnessed(stack, 'leaderless', {
    node: 'local-exec',
    script: 'exit 7',
  });
  await witness.begun();
  await stack.replicas.kill(leader);
  witness.open();
  const run = await endOf(name);
  expect(stepOf(run)).toMatchObject({ phase: 'Failed', reason: 'NonZeroExit', exitCode: 7, attempts: 1 });
  expect(witness.executions()).toBe(1);
  expect(await stack.replicas.waitForLeader()).not.toBe(leader);
  await stack.replicas.restart(leader);
});

test('a follower is killed while it holds the poll of the runner: the runner goes to another', async () => {
  const leader = await stack.replicas.waitForLeader();
  const [follower = 0] = others(leader);
  moveRunnersTo(follower);
  const { name, witness } = await startWitnessed(stack, 'pollless', { node: 'local-exec' });
  await witness.begun();
  await stack.replicas.kill(follower);
  stack.replicas.route({});
  witness.open();
  expect(stepOf(await endOf(name))).toMatchObject({ phase: 'Succeeded', attempts: 1 });
  expect(witness.executions()).toBe(1);
  const next = await startWitnessed(stack, 'pollless-next', { node: 'local-exec' });
  next.witness.open();
  expect(stepOf(await endOf(next.name))).toMatchObject({ phase: 'Succeeded', attempts: 1 });
  await stack.replicas.restart(follower);
});

test('a cancel reaches the runner whichever replica holds its poll', async () => {
  const leader = await stack.replicas.waitForLeader();
  const [follower = 0] = others(leader);
  moveRunnersTo(follower);
  const { name, witness } = await startWitnessed(stack, 'cancelled', { node: 'local-exec' });
  await witness.begun();
  await stack.mustCli('cancel', name);
  expect((await endOf(name)).status?.phase).toBe('Cancelled');
  expect(witness.ends()).toBe(0);
});

test('PostgreSQL is killed and started amid a run: no replica ends, and the run has its true result', async () => {
  moveRunnersTo(...all);
  const { name, witness } = await startWitnessed(stack, 'storeless', {
    node: 'local-exec',
    script: 'exit 3',
  });
  await witness.begun();
  await stack.postgres.kill();
  witness.open();
  await waitFor('the script to end', () => witness.ends() === 1);
  await stack.postgres.start();
  expect(stepOf(await endOf(name))).toMatchObject({ phase: 'Failed', exitCode: 3, attempts: 1 });
  expect(witness.executions()).toBe(1);
  expect(all.map((index) => stack.replicas.member(index).process.running())).toEqual([true, true, true]);
  expect(await stack.mustCli('logs', name, '--raw')).toBe('begun\nended\n');
});

test('a revoked runner is refused at every replica', async () => {
  const extra = await stack.startRunner('extra');
  await stack.kubectl('patch', 'runner', 'extra', '--type=merge', '-p', '{"spec":{"revoked":true}}');
  await stack.waitForRunner('extra', 'Offline');
  await waitFor('the runner to end', () => !extra.process.running());
});
