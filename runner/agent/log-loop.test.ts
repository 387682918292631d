import { createHash, randomBytes } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { decodeFrames, paths } from '@outrider/protocol';
import { createWorkbench, eventually, expectDrained, ref, spec, type Workbench } from './testing/bench.ts';

let bench: Workbench;
afterEach(() => bench.close());

const payloadOf = (framed: Buffer): Buffer =>
  Buffer.concat(decodeFrames(framed).frames.map((frame) => frame.payload));

test('five megabytes arrive whole through lost answers, cut uploads, refusals and a log that lost its tail', async () => {
  bench = await createWorkbench();
  const data = randomBytes(5_000_000);
  bench.operator.fault = (path, n) => {
    if (path !== paths.logs) return undefined;
    if (n === 4) {
      // As after a restore: the operator holds less than it has acknowledged.
      const held = bench.operator.logs.get('t1/1') ?? Buffer.alloc(0);
      bench.operator.logs.set('t1/1', held.subarray(0, held.length >> 1));
    }
    if (n === 2) return 'lose';
    if (n === 3) return { status: 429, code: 'TooManyRequests' };
    return n === 5 ? 'cut' : undefined;
  };
  await bench.start(async ({ write }) => {
    for (let at = 0; at < data.length; at += 40_000) await write(data.subarray(at, at + 40_000));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() =>
    expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Acknowledged']),
  );
  const framed = bench.operator.logs.get('t1/1') ?? Buffer.alloc(0);
  const result = bench.operator.results.get('t1/1');
  expect(framed.length).toBe(result?.log.length);
  expect(createHash('sha256').update(framed).digest('hex')).toBe(result?.log.sha256);
  expect(payloadOf(framed).equals(data)).toBe(true);
  expectDrained(await bench.drain());
});

test('results are acknowledged while logs are refused, and the attempt is settled only with its log', async () => {
  bench = await createWorkbench();
  let refuse = true;
  bench.operator.fault = (path) =>
    path === paths.logs && refuse ? { status: 503, code: 'Unavailable' } : undefined;
  await bench.start(async ({ write }) => {
    await write(Buffer.from('line\n'));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.operator.results.size).toBe(1));
  await eventually(() => expect(bench.operator.polls.length).toBeGreaterThan(1));
  expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Finished']);
  refuse = false;
  await eventually(() =>
    expect(bench.journal.attempts().map((item) => item.state)).toEqual(['Acknowledged']),
  );
  expect(payloadOf(bench.operator.logs.get('t1/1') ?? Buffer.alloc(0)).toString()).toBe('line\n');
  expectDrained(await bench.drain());
});

test('a log that conflicts is stopped and noted, and others go on', async () => {
  bench = await createWorkbench();
  bench.operator.logs.set('t1/1', Buffer.from('something else'));
  await bench.start(async ({ write }) => {
    await write(Buffer.from('line\n'));
    return {};
  });
  bench.operator.offer(ref('t1'), spec);
  await eventually(() => expect(bench.logger.lines.join('\n')).toContain('log_conflict'));
  bench.operator.offer(ref('t2'), spec);
  await eventually(() =>
    expect(payloadOf(bench.operator.logs.get('t2/1') ?? Buffer.alloc(0)).toString()).toBe('line\n'),
  );
  expect(bench.operator.logs.get('t1/1')?.toString()).toBe('something else');
  expectDrained(await bench.drain());
});
