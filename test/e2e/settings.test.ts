import { beforeAll, expect, test } from 'vitest';
import { waitFor } from '../servers/wait.ts';
import { killed, startWitnessed, stepOf } from './faults-fixture.ts';
import { useStack } from './stack.ts';

/** Everything in seconds that takes minutes by default. */
const stack = useStack({
  flags:
    '--lease 6s --poll-time 2s --offer-time 2s --unknown-grace 8s --kill-grace 2s --online-time 3s --offline-time 15s --settle-time 1s --leader-lease 10s --namespace-concurrency 3'.split(
      ' ',
    ),
});

beforeAll(async () => {
  await stack.startRunner('worker', { tags: ['steady'], flags: ['--local-exec', '--capacity', '8'] });
  await stack.allowLocalExec('worker');
});

const metrics = async (): Promise<string> => (await fetch(`${stack.operator.metricsUrl}/metrics`)).text();

test('a step goes on under a lease of 6 s for as long as its runner renews it', async () => {
  const { name, witness } = await startWitnessed(stack, 'steady', {
    node: 'local-exec',
    runner: { tags: ['steady'] },
  });
  await witness.begun();
  const began = performance.now();
  const phases = new Set<string>();
  await waitFor(
    'three leases to pass',
    async () => {
      phases.add(stepOf(await stack.readRun(name)).phase);
      return performance.now() - began > 18_000;
    },
    { timeoutMs: 25_000, intervalMs: 250 },
  );
  witness.open();
  expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
  expect([...phases].filter((phase) => phase !== 'Queued')).toEqual(['Running']);
  expect(witness.executions()).toBe(1);
});

test('a runner that is killed is Degraded and Offline, its step Unknown and Lost, all within seconds', async () => {
  const runner = await stack.startRunner('doomed', { tags: ['doomed'], flags: ['--local-exec'] });
  await stack.allowLocalExec('doomed');
  const { name, witness } = await startWitnessed(stack, 'doomed', {
    node: 'local-exec',
    runner: { tags: ['doomed'] },
  });
  await witness.begun();
  await killed(runner.process);
  const began = performance.now();
  await stack.waitForRunner('doomed', 'Degraded');
  await stack.waitForRun(name, 'to be Unknown', (run) => stepOf(run).phase === 'Unknown');
  expect(await metrics()).toContain('outrider_tasks{state="Unknown"} 1');
  const lost = await stack.waitForEnd(name);
  expect(stepOf(lost)).toMatchObject({ phase: 'Lost', reason: 'Lost', attempts: 1 });
  await stack.waitForRunner('doomed', 'Offline');
  // 6 s of lease and 8 s of grace, then 15 s for Offline, where the defaults take minutes.
  expect(performance.now() - began).toBeLessThan(60_000);
  await runner.restart();
  await stack.waitForRunner('doomed', 'Online');
  expect(witness.executions()).toBe(1);
});

test('a namespace gets as many attempts at a time as its quota, and the status of the next one says why it waits', async () => {
  const shared = { node: 'local-exec', runner: { tags: ['steady'] } };
  const holders = [];
  for (const name of ['quota-a', 'quota-b', 'quota-c'])
    holders.push(await startWitnessed(stack, name, shared));
  for (const { witness } of holders) await witness.begun();
  const next = await startWitnessed(stack, 'quota-d', shared);
  const waiting = await stack.waitForRun(
    next.name,
    'to wait for its namespace',
    (run) => run.status?.steps?.[0]?.reason === 'QuotaReached',
  );
  expect(stepOf(waiting)).toMatchObject({
    phase: 'Queued',
    message: `Namespace ${stack.namespace} has 3 attempts under way, as many as the operator permits (--namespace-concurrency). It starts when one of them has ended.`,
  });
  expect(next.witness.executions()).toBe(0);
  holders[0]?.witness.open();
  await next.witness.begun();
  for (const { witness } of [...holders, next]) witness.open();
  for (const { name } of [...holders, next])
    expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
});

test('an operator that is killed finds what goes on when it is back', async () => {
  const { name, witness } = await startWitnessed(stack, 'kept', {
    node: 'local-exec',
    runner: { tags: ['steady'] },
  });
  await witness.begun();
  await killed(stack.operator.process);
  await stack.restartOperator();
  witness.open();
  expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
  expect(witness.executions()).toBe(1);
});
