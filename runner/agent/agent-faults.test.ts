import { afterEach, expect, test } from 'vitest';
import { OutriderError, paths } from '@outrider/protocol';
import { createWorkbench, eventually, expectDrained, ref, spec, type Workbench } from './testing/bench.ts';
import { untilStopped } from './testing/host.ts';

let bench: Workbench;
afterEach(() => bench.close());

test('an accept whose answer is lost is repeated, and the attempt runs once', async () => {
  bench = await createWorkbench();
  bench.operator.fault = (path, n) => (path === paths.accept && n <= 2 ? 'lose' : undefined);
  await bench.start(() => Promise.resolve({}));
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  expect(bench.host.entered).toEqual(['t1/1']);
  expectDrained(await bench.drain());
});

test('an offer that arrives twice is run once', async () => {
  bench = await createWorkbench();
  let finish: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.polls.at(-1)?.held).toEqual([ref('t1')]));
  finish();
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  expect(bench.host.entered).toEqual(['t1/1']);
  expectDrained(await bench.drain());
});

test('a poll that is cut in the middle of its answer is repeated', async () => {
  bench = await createWorkbench();
  bench.operator.fault = (path, n) => (path === paths.poll && n === 1 ? 'cut' : undefined);
  await bench.start(() => Promise.resolve({}));
  bench.operator.offer(ref('lost-offer'), spec);
  await eventually(() => expect(bench.operator.polls.length).toBeGreaterThan(1));
  bench.operator.offer(ref('t2'), spec);
  await eventually(() => expect(bench.operator.results.has('t2/1')).toBe(true));
  expect(bench.logger.lines.some((line) => line.includes('OperatorUnreachable'))).toBe(true);
  expect(bench.logger.lines).toContain('the operator answers again {}');
  expectDrained(await bench.drain());
});

test('a poll in which no byte arrives is given up and repeated', async () => {
  bench = await createWorkbench({ silenceMs: 300 });
  await bench.start(() => Promise.resolve({}));
  // The test operator sends one byte and then keeps silent.
  await eventually(() => expect(bench.operator.polls.length).toBeGreaterThan(1));
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  expectDrained(await bench.drain());
});

test('a result is sent again until it is acknowledged, and never twice with different content', async () => {
  bench = await createWorkbench();
  bench.operator.fault = (path, n) => {
    if (path !== paths.reports || n > 4) return undefined;
    return n % 2 === 0 ? 'lose' : { status: 503, code: 'Unavailable' };
  };
  await bench.start(() => Promise.resolve({ outcome: 'Failed', exitCode: 7, reason: 'NonZeroExit' }));
  bench.operator.offer(ref('t1'), spec);
  await eventually(() =>
    expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Acknowledged']),
  );
  expect(bench.operator.results.get('t1/1')).toMatchObject({ exitCode: 7 });
  const results = bench.operator.reports.filter((report) => report.kind === 'Result');
  expect(new Set(results.map((report) => JSON.stringify(report.result))).size).toBe(1);
  expectDrained(await bench.drain());
});

test('what could not be started ends with its reason, on a disk that takes no log', async () => {
  bench = await createWorkbench();
  await bench.start(() => Promise.resolve({}));
  const full = (): Promise<never> => Promise.reject(new Error('no space left on device'));
  bench.journal.append = full;
  bench.journal.sealLog = full;
  bench.operator.offer(ref('t1'), { ...spec, node: 'ssh-exec' });
  await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
  expect(bench.operator.results.get('t1/1')).toMatchObject({
    outcome: 'Failed',
    reason: 'NodeNotAllowed',
    log: { length: 0, sha256: '' },
  });
  expectDrained(await bench.drain());
});

test('a result that reached the operator too slowly (408) is sent again', async () => {
  bench = await createWorkbench();
  bench.operator.fault = (path, n) =>
    path === paths.reports && n === 2 ? { status: 408, code: 'Internal' } : undefined;
  await bench.start(() => Promise.resolve({ exitCode: 0 }));
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
  expectDrained(await bench.drain());
});

test('another result at the operator is logged, and the journal keeps ours', async () => {
  bench = await createWorkbench();
  await bench.start(() => Promise.resolve({}));
  const log = { length: 0, sha256: 'other' };
  const at = new Date().toISOString();
  bench.operator.results.set('t1/1', { outcome: 'Failed', startedAt: at, finishedAt: at, log });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.logger.lines.join('\n')).toContain('result_conflict'));
  expectDrained(await bench.drain());
  expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Finished']);
});

test('an operator that forgot the session gets a new one with the inventory, and work goes on', async () => {
  bench = await createWorkbench();
  const finish = new Map<string, () => void>();
  await bench.start(async ({ request }) => {
    await new Promise<void>((resolve) => finish.set(request.task, resolve));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.polls.at(-1)?.held).toEqual([ref('t1')]));
  await eventually(() => expect(finish.has('t1')).toBe(true));
  bench.operator.session = undefined;
  bench.operator.offer(ref('t2'), spec);
  await eventually(() => expect(bench.operator.sessions.length).toBe(2));
  expect(bench.operator.sessions[1]?.inventory).toEqual(
    expect.arrayContaining([{ ...ref('t1'), generation: 'g1', state: 'Started' }]),
  );
  finish.get('t1')?.();
  await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
  await eventually(() => expect(finish.has('t2')).toBe(true));
  finish.get('t2')?.();
  await eventually(() => expect(bench.operator.results.has('t2/1')).toBe(true));
  expect(bench.host.entered).toEqual(['t1/1', 't2/1']);
  expectDrained(await bench.drain());
});

test('a session that another process took over ends this one with clear words, and its work', async () => {
  bench = await createWorkbench();
  await bench.start(async ({ stopped }) => {
    await untilStopped(stopped);
    return { outcome: 'Cancelled' };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.polls.at(-1)?.held).toEqual([ref('t1')]));
  bench.operator.session = 'session-of-another-process';
  bench.operator.cancel({ ...ref('nothing'), reason: 'Cancelled' });
  const end = await bench.ended;
  expect(end).toMatchObject({
    kind: 'Fatal',
    error: {
      code: 'SessionSuperseded',
      message: 'Another process has opened a session with the key of this runner, so this one ends.',
    },
  });
  expect(bench.host.size).toBe(0);
  await bench.kill();
});

test('a revoked runner ends', async () => {
  bench = await createWorkbench();
  bench.operator.fault = (path, n) =>
    path === paths.poll && n === 2 ? { status: 403, code: 'RunnerRevoked' } : undefined;
  await bench.start(() => Promise.resolve({}));
  bench.operator.offer(ref('t1'), spec);
  expect(await bench.ended).toMatchObject({ kind: 'Fatal', error: { code: 'RunnerRevoked' } });
  await bench.kill();
});

test.each([
  [undefined, 'Nothing of it is left running. How far it got is not known.'],
  [true, 'Whether all of it ended could not be checked: 4711 outlived KILL.'],
])(
  'under onLost Retry work whose lease cannot be renewed is ended as Lost (unconfirmed: %s)',
  async (unconfirmed, words) => {
    bench = await createWorkbench();
    bench.operator.settings = { pollMs: 20_000, leaseMs: 1000, killGraceMs: 100 };
    await bench.start(async ({ stopped }) => {
      await untilStopped(stopped);
      expect(stopped.reason).toBe('Cancelled');
      return unconfirmed === undefined
        ? { outcome: 'Cancelled' }
        : { outcome: 'Cancelled', unconfirmed, message: '4711 outlived KILL.' };
    });
    // The poll that lists it is held, and so its lease is not acknowledged, for longer than the lease.
    bench.operator.offer(ref('t1'), { ...spec, onLost: 'Retry' });
    await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
    expect(bench.operator.results.get('t1/1')).toMatchObject({
      outcome: 'Failed',
      reason: 'Lost',
      message: `The runner could not renew the lease of this attempt, so it ended it: the operator may run the step elsewhere. ${words}`,
    });
    expectDrained(await bench.drain());
  },
);

test('without onLost Retry work goes on however long the operator is silent', async () => {
  bench = await createWorkbench();
  bench.operator.settings = { pollMs: 20_000, leaseMs: 1000, killGraceMs: 100 };
  let finish: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return { exitCode: 0 };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.polls.at(-1)?.held).toEqual([ref('t1')]));
  const until = performance.now() + 1200;
  await eventually(() => expect(performance.now()).toBeGreaterThan(until));
  finish();
  await eventually(() => expect(bench.operator.results.get('t1/1')?.outcome).toBe('Succeeded'));
  expectDrained(await bench.drain());
});

test('a disk that fails lets the runner finish what runs, take nothing more, and end with the reason', async () => {
  bench = await createWorkbench();
  let finish: () => void = () => undefined;
  await bench.start(async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return { exitCode: 0 };
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.host.size).toBe(1));
  const failure = new OutriderError({
    code: 'JournalFailed',
    message: 'EIO: i/o error, fdatasync.',
    action: 'Test.',
  });
  bench.journal.accepted = () => Promise.reject(failure);
  bench.operator.offer(ref('t2'), spec);
  await eventually(() => expect(bench.operator.reports.some(({ kind }) => kind === 'Released')).toBe(true));
  finish();
  expect(await bench.ended).toEqual({ kind: 'Fatal', error: failure });
  expect(bench.operator.results.get('t1/1')?.outcome).toBe('Succeeded');
  expect(bench.host.entered).toEqual(['t1/1']);
  await bench.kill();
});
