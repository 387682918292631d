import { beforeAll, expect, test } from 'vitest';
import { waitFor } from '../servers/wait.ts';
import { killAtBytes } from './aim.ts';
import { exited, killed, startSshTarget, startWitnessed, stepOf, type SshTarget } from './faults-fixture.ts';
import { useStack } from './stack.ts';
import { createWitness } from './witness.ts';

const stack = useStack();
let ssh: SshTarget;

beforeAll(async () => {
  ssh = await startSshTarget(stack, { maxSessions: 20 });
  await stack.startRunner('worker', { flags: ['--local-exec', '--capacity', '8'] });
  await stack.allowLocalExec('worker');
});

const nodes = [
  ['ssh-exec', () => ({ node: 'ssh-exec', target: ssh.target })],
  ['local-exec', () => ({ node: 'local-exec' })],
] as const;

test.each(nodes)(
  'a %s step that runs while the operator is killed is executed once and gives its true result',
  async (node, step) => {
    const { name, witness } = await startWitnessed(stack, `killed-${node}`, { ...step(), script: 'exit 7' });
    await witness.begun();
    await killed(stack.operator.process);
    await stack.restartOperator();
    witness.open();
    const run = await stack.waitForEnd(name);
    expect(stepOf(run)).toMatchObject({ phase: 'Failed', reason: 'NonZeroExit', exitCode: 7, attempts: 1 });
    expect(await stack.mustCli('logs', name, '--raw')).toBe('begun\nended\n');
    expect(witness.executions()).toBe(1);
  },
);

test.each(nodes)(
  'a %s step that ends while the operator is down gives its true result when it is back',
  async (node, step) => {
    const { name, witness } = await startWitnessed(stack, `down-${node}`, { ...step(), script: 'exit 7' });
    await witness.begun();
    await killed(stack.operator.process);
    witness.open();
    await waitFor('the script to end', () => witness.ends() === 1);
    await stack.restartOperator();
    const run = await stack.waitForEnd(name);
    expect(stepOf(run)).toMatchObject({ phase: 'Failed', reason: 'NonZeroExit', exitCode: 7, attempts: 1 });
    expect(await stack.mustCli('logs', name, '--raw')).toBe('begun\nended\n');
    expect(witness.executions()).toBe(1);
  },
);

/** In the order in which the commits of a run bring them about. */
const states = ['Pending', 'Ready', 'Offered', 'Claimed', 'Running'];

test.each([
  ['offer and accept', 'Offered'],
  ['accept and start', 'Claimed'],
])('an operator killed between %s lets the step be executed once', { timeout: 400_000 }, async (_, aimed) => {
  const name = `aim-${aimed.toLowerCase()}`;
  const witness = createWitness(stack.footprint.subfolder('witness'), name);
  witness.open();
  await stack.workflow(name, {
    steps: [{ name: 'only', node: 'ssh-exec', target: ssh.target, script: witness.script }],
  });
  // Where in the ledger's write-ahead log that state is committed is found by halving.
  const all: readonly [number, number] = [0, 131_072];
  let [[low, high], left] = [all, ''];
  for (let tried = 1; left !== aimed && tried <= 30; tried++) {
    // A kill that came late has narrowed it to where the state is not.
    if (high - low < 10_000) [low, high] = all;
    const starting = stack.startRun(name);
    const bytes = (low + high) / 2;
    const killed = await killAtBytes(stack.operator, { bytes, isOver: () => witness.ends() === tried });
    const run = await starting;
    if (killed !== undefined) await stack.restartOperator();
    expect((await stack.waitForEnd(run)).status?.phase).toBe('Succeeded');
    expect([witness.executions(), witness.ends()]).toEqual([tried, tried]);
    left = killed === undefined ? 'over' : (killed[0] ?? 'Pending');
    const late = left === 'over' || states.indexOf(left) > states.indexOf(aimed);
    [low, high] = late ? [low, bytes + 4096] : [bytes - 4096, high];
  }
  expect(left).toBe(aimed);
});

test('an operator killed over and over amid 60 steps in all states executes each exactly once', async () => {
  const count = 60;
  const names = Array.from({ length: count }, (_, i) => `web-${i}`);
  const witness = createWitness(stack.footprint.subfolder('witness'), 'storm');
  witness.open();
  await stack.apply(
    ...names.map((name) => ({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Target',
      metadata: { name, labels: { role: 'storm' } },
      spec: { type: 'SSH', ...ssh.target },
    })),
  );
  await stack.workflow('storm', {
    steps: [
      {
        name: 'all',
        node: 'ssh-exec',
        targets: { matchLabels: { role: 'storm' } },
        script: `${witness.script}sleep 0.3`,
      },
    ],
  });
  const run = await stack.startRun('storm');
  for (const executed of [1, 15, 30, 45]) {
    await waitFor(`${executed} executions`, () => witness.executions() >= executed);
    await killed(stack.operator.process);
    await stack.restartOperator();
  }
  const { status } = await stack.waitForEnd(run);
  expect(status).toMatchObject({
    phase: 'Succeeded',
    steps: [{ targets: { total: count, succeeded: count, failed: 0 } }],
  });
  expect([witness.executions(), witness.ends()]).toEqual([count, count]);
});

test('SIGTERM ends the operator within 10 s with exit code 0, and a run in progress goes on after its restart', async () => {
  const { name, witness } = await startWitnessed(stack, 'stopped', { node: 'ssh-exec', target: ssh.target });
  await witness.begun();
  const { process } = stack.operator;
  process.signal('SIGTERM');
  expect(await exited(process, 10_000)).toBe(0);
  await stack.restartOperator();
  witness.open();
  expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
  expect(witness.executions()).toBe(1);
});

test('an operator whose Lease another one holds exits with an error at once', async () => {
  const hold = (holderIdentity: string): Promise<string> =>
    stack.controlPlane.mustKubectl([
      '-n',
      'outrider-system',
      'patch',
      'lease',
      'outrider-operator',
      '--type=merge',
      '-p',
      JSON.stringify({ spec: { holderIdentity } }),
    ]);
  await hold('another');
  expect(await exited(stack.operator.process, 10_000)).toBe(1);
  await hold('');
});
