import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { paths } from '@outrider/protocol';
import { createWorkbench, eventually, expectDrained, ref, spec, type Workbench } from './testing/bench.ts';
import { untilStopped } from './testing/host.ts';

let bench: Workbench;
afterEach(() => bench.close());

test('an offered attempt is accepted, started, logged and reported, and the runner drains', async () => {
  bench = await createWorkbench();
  await bench.start(async ({ write }) => {
    await write(Buffer.from('hello\n'));
    return { exitCode: 0 };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
  const result = bench.operator.results.get('t1/1');
  expect(result).toMatchObject({ outcome: 'Succeeded', exitCode: 0 });
  await eventually(() => expect(bench.operator.logs.get('t1/1')?.length).toBe(result?.log.length));
  const log = bench.operator.logs.get('t1/1') ?? Buffer.alloc(0);
  expect(createHash('sha256').update(log).digest('hex')).toBe(result?.log.sha256);
  expect(bench.operator.reports.map((report) => report.kind)).toEqual(['Started', 'Result']);
  expect(bench.operator.reports[1]?.startLatencyUs).toBeGreaterThan(0);
  await eventually(() =>
    expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Acknowledged']),
  );
  expectDrained(await bench.drain());
  expect(bench.operator.closed).toBe(true);
});

test('nothing starts before accept was answered, and started is journalled before the executor is entered', async () => {
  bench = await createWorkbench();
  const states: string[] = [];
  await bench.start(({ request }) => {
    states.push(
      ...bench.journal.attempts().map((item) => `${item.state} ${bench.operator.accepted.has('t1/1')}`),
    );
    expect(request.spec.step).toBe('step-1');
    return Promise.resolve({});
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  expect(states).toEqual(['Started true']);
  expectDrained(await bench.drain());
});

test('a nonce that the operator replaces is taken over without a lost request, and a token is fetched once', async () => {
  bench = await createWorkbench();
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.operator.polls.length).toBeGreaterThan(0));
  bench.operator.nonces.push('second-nonce');
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  expect(bench.operator.issued).toBe(1);
  expectDrained(await bench.drain());
});

test('an access token that the operator no longer takes is renewed once and the call repeated', async () => {
  bench = await createWorkbench();
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.operator.polls.length).toBe(1));
  bench.operator.fault = (path, n) =>
    path === paths.accept && n === 1 ? { status: 401, code: 'Unauthenticated' } : undefined;
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  expect(bench.operator.issued).toBe(2);
  expect(bench.host.entered).toEqual(['t1/1']);
  expectDrained(await bench.drain());
});

test('a cancelled attempt is stopped and its result reported', async () => {
  bench = await createWorkbench();
  await bench.start(async ({ stopped }) => {
    await untilStopped(stopped);
    return { outcome: 'Cancelled', reason: String(stopped.reason) };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  bench.operator.cancel({ ...ref('t1'), reason: 'Cancelled' });
  await eventually(() => expect(bench.operator.results.get('t1/1')?.outcome).toBe('Cancelled'));
  expect(bench.operator.results.get('t1/1')?.reason).toBe('Cancelled');
  expectDrained(await bench.drain());
});

test('an abandoned attempt is stopped, forgotten and not reported', async () => {
  bench = await createWorkbench();
  await bench.start(async ({ stopped }) => {
    await untilStopped(stopped);
    return { outcome: 'Cancelled' };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  bench.operator.cancel({ ...ref('t1'), reason: 'Abandoned' });
  await eventually(() => expect(bench.journal.attempts()).toEqual([]));
  expect(bench.operator.results.size).toBe(0);
  expectDrained(await bench.drain());
});

test('a poll lists what was accepted until its result is acknowledged, and goes on with no free slot', async () => {
  bench = await createWorkbench({ capacity: 1 });
  let finish: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.polls.at(-1)?.held).toEqual([ref('t1')]));
  expect(bench.operator.polls.at(-1)?.load).toBe(1);
  bench.operator.offer(ref('t2'), spec);
  await eventually(() =>
    expect(bench.operator.reports.find((report) => report.kind === 'Released')?.task).toBe('t2'),
  );
  expect(bench.operator.accepted.has('t2/1')).toBe(false);
  finish();
  await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
  expectDrained(await bench.drain());
});

test('a node type that the configuration does not permit fails without being run', async () => {
  bench = await createWorkbench();
  await bench.start(() => Promise.resolve({}));
  bench.operator.offer(ref('t1'), { ...spec, node: 'ssh-exec' });
  await eventually(() => expect(bench.operator.results.get('t1/1')?.reason).toBe('NodeNotAllowed'));
  expect(bench.operator.results.get('t1/1')?.message).toBe(
    "This runner's own configuration does not permit ssh-exec. Add ssh-exec to `nodes` in the runner's configuration, or use another runner for this step.",
  );
  expect(bench.host.entered).toEqual([]);
  expectDrained(await bench.drain());
});
