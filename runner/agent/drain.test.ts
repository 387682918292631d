import { afterEach, expect, test } from 'vitest';
import { createWorkbench, eventually, expectDrained, ref, spec, type Workbench } from './testing/bench.ts';
import { untilStopped } from './testing/host.ts';

let bench: Workbench;
afterEach(() => bench.close());

test('a draining runner says so, takes nothing new, and ends when its work has ended', async () => {
  bench = await createWorkbench();
  let finish: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  bench.agent.interrupt();
  await eventually(() => expect(bench.operator.polls.at(-1)?.draining).toBe(true));
  bench.operator.offer(ref('t2'), spec);
  await eventually(() =>
    expect(bench.operator.reports.map((report) => `${report.kind} ${report.task}`)).toContain('Released t2'),
  );
  finish();
  expectDrained(await bench.ended);
  expect(bench.operator.results.get('t1/1')?.outcome).toBe('Succeeded');
  expect(bench.host.entered).toEqual(['t1/1']);
  expect(bench.operator.closed).toBe(true);
  await bench.kill();
});

test('a second signal ends what runs, and its result is reported before the runner leaves', async () => {
  bench = await createWorkbench();
  await bench.start(async ({ stopped }) => {
    await untilStopped(stopped);
    return { outcome: 'Cancelled', reason: 'Cancelled' };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  bench.agent.interrupt();
  bench.agent.interrupt();
  expectDrained(await bench.ended);
  expect(bench.operator.results.get('t1/1')?.outcome).toBe('Cancelled');
  await bench.kill();
});

const leaving = 'leaving at once: what is not reported is left to the next process {"running":1}';

test('a third signal ends the runner although work does not end, and says that something is unreported', async () => {
  bench = await createWorkbench();
  let finish: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  for (let i = 0; i < 3; i++) bench.agent.interrupt();
  await eventually(() => expect(bench.logger.lines).toContain(leaving));
  finish();
  expect(await bench.ended).toEqual({ kind: 'Drained', delivered: false });
  await bench.kill();
});

test('when the time of a drain is up, what goes on by itself is left to the next process, and the rest is ended', async () => {
  bench = await createWorkbench({ drainTimeoutMs: 300 });
  const begun = new Set<string>();
  await bench.start(async ({ stopped, request }) => {
    if (request.task === 'detached')
      await bench.journal.handle(ref('detached'), { spool: '/dev/shm/outrider.x' });
    begun.add(request.task);
    await untilStopped(stopped);
    return { outcome: 'Cancelled' };
  });
  for (const task of ['detached', 'local']) bench.operator.offer(ref(task), spec);
  await eventually(() => expect(begun.size).toBe(2));
  bench.agent.interrupt();
  expectDrained(await bench.ended);
  expect([...bench.operator.results.keys()]).toEqual(['local/1']);
  expect(bench.host.size).toBe(1);
  const kept = bench.journal.attempts().find(({ task }) => task === 'detached');
  expect(kept).toMatchObject({ state: 'Started', handle: { spool: '/dev/shm/outrider.x' } });
  expect(bench.logger.lines).toContain('ending what still runs {"running":1,"handedOver":1}');
  await bench.kill();
});

test('what a process that leaves at once can only assume is not journalled: the next one looks', async () => {
  bench = await createWorkbench();
  let close: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (close = resolve));
    return { outcome: 'Failed', reason: 'ExecutorCrashed', unconfirmed: true };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  for (let i = 0; i < 3; i++) bench.agent.interrupt();
  await eventually(() => expect(bench.logger.lines).toContain(leaving));
  close();
  expect(await bench.ended).toEqual({ kind: 'Drained', delivered: false });
  await eventually(() => expect(bench.host.size).toBe(0));
  expect(bench.journal.attempts().map(({ state }) => state)).toEqual(['Started']);
  await bench.kill();
});
