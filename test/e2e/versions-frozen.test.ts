import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildEarlier, firstOfVersion2, type EarlierProgram } from '../compatibility/earlier-build.ts';
import { bundle } from '../servers/outrider.ts';
import { killed, startSshTarget, startWitnessed, stepOf, type SshTarget } from './faults-fixture.ts';
import { Stack } from './stack.ts';

/** Builds since the freeze of the protocol work with one another: here the first of them with today's. */
const stack = new Stack();
/** Undefined in a clone whose history does not reach back: today's then stands for it. */
let earlier: EarlierProgram | undefined;
let ssh: SshTarget;

const today = {
  operator: bundle('operator', 'outrider-operator.js'),
  runner: bundle('runner', 'outrider-runner.js'),
};
const before = () => ({
  operator: earlier?.('operator', 'outrider-operator.js') ?? today.operator,
  runner: earlier?.('runner', 'outrider-runner.js') ?? today.runner,
});

beforeAll(async () => {
  earlier = await buildEarlier(stack.footprint, firstOfVersion2);
  await stack.start({ program: before().operator });
  ssh = await startSshTarget(stack);
});
afterAll(() => stack.stop());

const expectTruth = async ({ name, witness }: Awaited<ReturnType<typeof startWitnessed>>): Promise<void> => {
  const run = await stack.waitForEnd(name, 90_000);
  expect(stepOf(run)).toMatchObject({ phase: 'Failed', reason: 'NonZeroExit', exitCode: 7 });
  expect(witness.executions()).toBe(1);
  expect((await stack.mustCli('logs', name, 'only', '--raw')).trim()).toBe('begun\nended');
};

test('a step goes on while its runner is upgraded, and then its operator', async () => {
  const runner = await stack.startRunner('first', { program: before().runner });
  const step = { node: 'ssh-exec' as const, target: ssh.target, script: 'exit 7\n' };
  const run = await startWitnessed(stack, 'upgraded', step);
  await run.witness.begun();
  await killed(runner.process);
  await runner.restart(today.runner);
  const besides = await startWitnessed(stack, 'runner-first', step);
  besides.witness.open();
  await expectTruth(besides);
  await killed(stack.operator.process);
  await stack.restartOperator(today.operator);
  run.witness.open();
  await expectTruth(run);
});

test('a runner of the first build works for the operator of today, and an upgraded one takes up what it left', async () => {
  await stack.kubectl('patch', 'runner', 'first', '--type=merge', '-p', '{"spec":{"suspend":true}}');
  const runner = await stack.startRunner('second', { program: before().runner });
  const step = { node: 'ssh-exec' as const, target: ssh.target, script: 'exit 7\n' };
  const run = await startWitnessed(stack, 'operator-first', step);
  await run.witness.begun();
  const besides = await startWitnessed(stack, 'by-the-first-build', step);
  besides.witness.open();
  await expectTruth(besides);
  await killed(runner.process);
  await runner.restart(today.runner);
  run.witness.open();
  await expectTruth(run);
});
