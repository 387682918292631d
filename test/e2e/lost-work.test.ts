import type { Step } from '@outrider/kinds';
import { beforeAll, expect, test } from 'vitest';
import { killed, startWitnessed, stepOf, type WitnessedRun } from './faults-fixture.ts';
import { useStack } from './stack.ts';

/** A runner that is killed is given up within seconds. */
const times = {
  lease: '8s',
  'poll-time': '1s',
  'unknown-grace': '1s',
  // Less than a kill may take would have runners give up work that they still hold.
  'kill-grace': '10s',
  'online-time': '4s',
  'offline-time': '8s',
  'settle-time': '0s',
};
const stack = useStack({ flags: Object.entries(times).flatMap(([name, value]) => [`--${name}`, value]) });

const startRunner = async (name: string): ReturnType<typeof stack.startRunner> => {
  const runner = await stack.startRunner(name, { tags: ['site'], flags: ['--local-exec'] });
  await stack.allowLocalExec(name);
  return runner;
};

const policies = {
  'was-done': { onLost: 'Verify', verify: { script: 'echo it was done' } },
  'was-not': { onLost: 'Verify', verify: { script: 'echo it was not; exit 1' } },
  'no-answer': { onLost: 'Verify', verify: { script: 'exit 3', timeout: '1m' } },
  repeated: { onLost: 'Retry', retry: { limit: 1, delay: '100ms' } },
  failed: {},
} as const satisfies Record<string, Pick<Step, 'onLost' | 'verify' | 'retry'>>;

const lost = new Map<keyof typeof policies, WitnessedRun>();
const lostRun = (name: keyof typeof policies): WitnessedRun => {
  const found = lost.get(name);
  if (!found) throw new Error(`${name} was not started`);
  return found;
};

/** One run for each policy; the runner that executes them is killed for good, and another one comes. */
beforeAll(async () => {
  const runner = await startRunner('doomed');
  for (const [name, policy] of Object.entries(policies)) {
    const step = { node: 'local-exec', runner: { tags: ['site'] }, ...policy };
    lost.set(name as keyof typeof policies, await startWitnessed(stack, name, step));
  }
  for (const { witness } of lost.values()) await witness.begun();
  await killed(runner.process);
  await startRunner('spare');
});

test('a step fails as Lost where nothing else is said', async () => {
  const { name, witness } = lostRun('failed');
  const run = await stack.waitForEnd(name);
  expect(run.status?.conditions?.[0]).toMatchObject({ type: 'Completed', status: 'True', reason: 'Lost' });
  expect(stepOf(run)).toMatchObject({ phase: 'Lost', attempts: 1 });
  expect(witness.executions()).toBe(1);
});

test('a step whose verify script says that it was done has succeeded, and is not executed again', async () => {
  const { name, witness } = lostRun('was-done');
  const run = await stack.waitForEnd(name);
  expect(run.status?.phase).toBe('Succeeded');
  expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', reason: 'Verified', attempts: 1 });
  expect(witness.executions()).toBe(1);
  expect(await stack.mustCli('describe', name)).toMatch(/^only \(verify\) +- +Succeeded +spare +0 /m);
  expect(await stack.mustCli('logs', name)).toBe('only | begun\nonly (verify) | it was done\n');
  const raw = await stack.cli(['logs', name, '--raw']);
  expect(raw.stdout).toBe('begun\n');
  expect(raw.stderr).toContain('Warning: the log of only has no end');
});

test('a step whose verify script says that it was not done is executed again', async () => {
  const { name, witness } = lostRun('was-not');
  await stack.waitForRun(name, 'to be executed again', (run) => stepOf(run).attempts === 2);
  witness.open();
  const run = await stack.waitForEnd(name);
  expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', runner: 'spare', attempts: 2 });
  expect(witness.executions()).toBe(2);
  const verified = 'only (verify) | it was not\n';
  const all = `only | begun\nonly#2 | begun\nonly#2 | ended\n${verified}`;
  for (const flags of [[], ['-f']]) expect(await stack.mustCli('logs', name, ...flags)).toBe(all);
  expect(await stack.mustCli('logs', name, '--attempt', '1')).toBe(`only | begun\n${verified}`);
  expect(await stack.mustCli('logs', name, '--attempt', '1', '--raw')).toBe('begun\n');
  expect(await stack.mustCli('logs', name, '--raw')).toBe('begun\nended\n');
});

test('a step whose verify script gives no answer waits for a person', async () => {
  const { name, witness } = lostRun('no-answer');
  const waits = await stack.waitForRun(name, 'to wait', (run) => stepOf(run).phase === 'AwaitingHuman');
  expect(stepOf(waits).message).toContain(`outrider decide ${name} only --attempt 1`);
  expect(await stack.mustCli('describe', name)).toContain('The verify script of attempt 1 ended Failed');
  expect((await stack.cli(['cancel', name])).code).toBe(0);
  expect(witness.executions()).toBe(1);
});

test('a step that may be repeated is, once the lost runner must have given up', async () => {
  const { name, witness } = lostRun('repeated');
  await stack.waitForRun(name, 'to be executed again', (run) => stepOf(run).attempts === 2);
  witness.open();
  const run = await stack.waitForEnd(name);
  expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', runner: 'spare', attempts: 2 });
  expect(witness.executions()).toBe(2);
});
