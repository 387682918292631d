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
  await eventually(() => expect(bench.operator.closed).toBe(true));
  finish();
  expect(await bench.ended).toEqual({ kind: 'Drained', delivered: false });
  await bench.kill();
});
