import { beforeAll, expect, test } from 'vitest';
import { killed, startSshTarget, startWitnessed, stepOf } from './faults-fixture.ts';
import { useStack } from './stack.ts';

/** A runner that is killed is given up within seconds. */
const times = {
  lease: '8s',
  'poll-time': '1s',
  'unknown-grace': '1s',
  'online-time': '4s',
  'offline-time': '8s',
  'settle-time': '0s',
};
const stack = useStack({ flags: Object.entries(times).flatMap(([name, value]) => [`--${name}`, value]) });

beforeAll(async () => {
  const { target } = await startSshTarget(stack);
  await stack.apply({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Target',
    metadata: { name: 'db-1' },
    spec: { type: 'SSH', ...target, maxParallel: 1 },
  });
});

const step = { node: 'ssh-exec', target: { name: 'db-1' } };

test('a Target that takes one at a time takes the next when the first has ended, however it does', async () => {
  const runner = await stack.startRunner('doomed');
  const first = await startWitnessed(stack, 'first', step);
  await first.witness.begun();
  const second = await startWitnessed(stack, 'second', step);
  const third = await startWitnessed(stack, 'third', step);
  for (const { name } of [second, third]) {
    const waits = await stack.waitForRun(name, 'to wait', (run) => stepOf(run).reason === 'TargetBusy');
    expect(stepOf(waits).message).toContain(`is in use by ${first.name} (step only)`);
  }
  first.witness.open();
  expect((await stack.waitForEnd(first.name)).status?.phase).toBe('Succeeded');

  await second.witness.begun();
  expect(third.witness.executions()).toBe(0);
  await killed(runner.process);
  const lost = await stack.waitForEnd(second.name);
  expect(stepOf(lost)).toMatchObject({ phase: 'Lost', unconfirmed: 1 });
  await stack.startRunner('spare');
  await stack.waitForRun(third.name, 'to wait still', (run) => stepOf(run).reason === 'TargetBusy');

  const described = await stack.mustCli('describe', second.name);
  const [, words = ''] = / {2}outrider (decide .* --release) --reason "…"\n/.exec(described) ?? [];
  expect(words).toBe(`decide ${second.name} only -n ${stack.namespace} --attempt 1 --release`);
  second.witness.open();
  const released = await stack.cli([...words.split(' '), '--reason', 'no such process']);
  expect([released.stderr, released.code]).toEqual([expect.stringContaining('Applied: Release.'), 0]);
  await third.witness.begun();
  third.witness.open();
  expect((await stack.waitForEnd(third.name)).status?.phase).toBe('Succeeded');
  expect([first, second, third].map(({ witness }) => witness.executions())).toEqual([1, 1, 1]);
});
