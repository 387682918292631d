import { join } from 'node:path';
import { encodeFrame } from '@outrider/protocol';
import { afterEach, expect, test } from 'vitest';
import type { ExecutionRequest } from '../execution/contract.ts';
import { openJournal } from '../journal/journal.ts';
import { createWorkbench, eventually, expectDrained, ref, spec, type Workbench } from './testing/bench.ts';

let bench: Workbench;
afterEach(() => bench.close());

const startedAt = '2026-01-02T03:04:05.678Z';

/** What an earlier process of this runner left behind. */
const leaveBehind = async (
  fill: (journal: Awaited<ReturnType<typeof openJournal>>) => Promise<void>,
): Promise<void> => {
  const journal = await openJournal({ folder: join(bench.stateDir, 'journal') });
  await fill(journal);
  await journal.close();
};

test.each([
  [true, undefined, 'what it had left running was ended. How far it got is not known.'],
  [false, true, 'whether what it left behind still runs could not be checked.'],
])(
  'work that ran when the runner was killed is ended and reported as Lost, never run again (surely gone: %s)',
  async (gone, unconfirmed, words) => {
    bench = await createWorkbench();
    await leaveBehind(async (journal) => {
      await journal.accepted(ref('t1'), { generation: 'g1', spec });
      await journal.started(ref('t1'), startedAt);
      await journal.handle(ref('t1'), { pid: 4711 });
    });
    await bench.start(() => Promise.resolve({}));
    bench.host.reapResult = gone;
    await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
    expect(bench.operator.sessions[0]?.inventory).toEqual([
      { ...ref('t1'), generation: 'g1', state: 'Started' },
    ]);
    const result = bench.operator.results.get('t1/1');
    expect(result).toMatchObject({ outcome: 'Failed', reason: 'Lost', startedAt });
    expect(result?.unconfirmed).toBe(unconfirmed);
    expect(result?.message).toBe(`The runner was restarted while this ran; ${words}`);
    expect(bench.host.reaped).toEqual([{ node: 'local-exec', handle: { pid: 4711 } }]);
    expect(bench.host.entered).toEqual([]);
    expectDrained(await bench.drain());
  },
);

test('work whose handle was not journalled had not begun when the runner was killed, and begins now', async () => {
  bench = await createWorkbench();
  await leaveBehind(async (journal) => {
    await journal.accepted(ref('t1'), { generation: 'g1', spec });
    await journal.started(ref('t1'), startedAt);
  });
  await bench.start(() => Promise.resolve({ exitCode: 7, outcome: 'Failed' }));
  await eventually(() => expect(bench.operator.results.get('t1/1')).toMatchObject({ exitCode: 7 }));
  expect(bench.host.entered).toEqual(['t1/1']);
  expect(bench.host.reaped).toEqual([]);
  expectDrained(await bench.drain());
});

test('work that outlives the runner is taken up again, from where its log ends', async () => {
  bench = await createWorkbench();
  const handle = { host: 'web-1', pid: 4711, spool: '/dev/shm/outrider-1' };
  const progress = { stdout: { raw: 4, redacted: 5 }, stderr: { raw: 0, redacted: 0 } };
  await leaveBehind(async (journal) => {
    await journal.accepted(ref('t1'), { generation: 'g1', spec });
    await journal.started(ref('t1'), startedAt);
    await journal.handle(ref('t1'), handle);
    for (const [seq, stream, text] of [
      [0, 'system', 'connected\n'],
      [1, 'stdout', 'first\n'],
      [2, 'stderr', 'oh'],
      [3, 'stdout', 'sec'],
    ] as const)
      await journal.append(ref('t1'), encodeFrame({ seq, stream, ts: 0n, payload: Buffer.from(text) }));
    await journal.checkpoint(ref('t1'), progress);
  });
  let request: ExecutionRequest | undefined;
  await bench.start((script) => {
    request = script.request;
    return Promise.resolve({ exitCode: 7, outcome: 'Failed' });
  });
  await eventually(() => expect(bench.operator.results.get('t1/1')).toMatchObject({ exitCode: 7 }));
  expect(request?.resume).toEqual({
    handle,
    startedAt,
    progress,
    logged: { frames: 4, stdout: 9, stderr: 2 },
  });
  expect(bench.host.reaped).toEqual([]);
  await eventually(() => expect(bench.host.settledKeys).toEqual(['t1/1']));
  expectDrained(await bench.drain());
});

test.each([true, false])(
  'what work that had ended may have left on its target is removed, and its result told whatever comes of that (%s)',
  async (done) => {
    bench = await createWorkbench();
    const handle = { host: 'web-1', pid: 4711, spool: '/dev/shm/outrider-1' };
    await leaveBehind(async (journal) => {
      await journal.accepted(ref('t1'), { generation: 'g1', spec });
      await journal.started(ref('t1'), startedAt);
      await journal.handle(ref('t1'), handle);
      const log = await journal.sealLog(ref('t1'));
      await journal.finished(ref('t1'), {
        outcome: 'Failed',
        exitCode: 7,
        startedAt,
        finishedAt: startedAt,
        log,
      });
    });
    await bench.start(() => Promise.resolve({}));
    bench.host.reapResult = done;
    await eventually(() => expect(bench.operator.results.get('t1/1')).toMatchObject({ exitCode: 7 }));
    expect(bench.host.tidied).toEqual([{ task: 't1', handle }]);
    expect(bench.host.entered).toEqual([]);
    expectDrained(await bench.drain());
  },
);

test('the key of an unknown host is the one that the operator has on record', async () => {
  bench = await createWorkbench();
  const shown = { host: 'web-1', port: 22, key: 'ssh-ed25519 AAAA' };
  const keys: (string | undefined)[] = [];
  await bench.start(async ({ learnHostKey }) => {
    keys.push(await learnHostKey?.(shown), await learnHostKey?.({ ...shown, key: 'ssh-ed25519 BBBB' }));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.has('t1/1')).toBe(true));
  expect(keys).toEqual([shown.key, shown.key]);
  expectDrained(await bench.drain());
});

test('what was accepted and not started is released after a restart', async () => {
  bench = await createWorkbench();
  await leaveBehind((journal) => journal.accepted(ref('t1'), { generation: 'g1', spec }));
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.journal.attempts()).toEqual([]));
  expect(bench.operator.reports).toEqual([{ ...ref('t1'), kind: 'Released' }]);
  expect(bench.host.entered).toEqual([]);
  expectDrained(await bench.drain());
});

test('a journalled result is sent again as it was, with its log', async () => {
  bench = await createWorkbench();
  const finishedAt = '2026-01-02T03:04:06.000Z';
  await leaveBehind(async (journal) => {
    await journal.accepted(ref('t1'), { generation: 'g1', spec });
    await journal.started(ref('t1'), startedAt);
    const log = await journal.sealLog(ref('t1'));
    await journal.finished(ref('t1'), { outcome: 'Failed', exitCode: 3, startedAt, finishedAt, log });
  });
  await bench.start(() => Promise.resolve({}));
  await eventually(() =>
    expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Acknowledged']),
  );
  expect(bench.operator.results.get('t1/1')).toMatchObject({
    outcome: 'Failed',
    exitCode: 3,
    startedAt,
    finishedAt,
  });
  expectDrained(await bench.drain());
});

test('what the operator has given up is ended and forgotten', async () => {
  bench = await createWorkbench();
  bench.operator.abandoned.add('t1/1');
  await leaveBehind(async (journal) => {
    await journal.accepted(ref('t1'), { generation: 'g0', spec });
    await journal.started(ref('t1'), startedAt);
    await journal.handle(ref('t1'), { pid: 4711 });
  });
  await bench.start(() => Promise.resolve({}));
  await eventually(() => expect(bench.journal.attempts()).toEqual([]));
  expect(bench.host.reaped).toEqual([{ node: 'local-exec', handle: { pid: 4711 } }]);
  expect(bench.operator.results.size).toBe(0);
  expectDrained(await bench.drain());
});
