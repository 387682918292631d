import { decodeFrames, type TaskResult } from '@outrider/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ref, sha256 } from '../journal/fixture.ts';
import { openBench, password, type Bench } from './fixture-bench.ts';

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.clear());

/** Starts an attempt, waits for its first output, then runs `act`. */
const interrupted = async (node: string, act: () => void | Promise<void>): Promise<TaskResult> => {
  const result = bench.run({ node });
  await bench.begun(node);
  await act();
  return result;
};

describe('stopping an attempt', () => {
  test.each(['Cancelled', 'Abandoned'] as const)(
    'gives %s to the executor, whose answer counts',
    async (reason) => {
      expect(await interrupted('obedient', () => bench.host.stop(ref('obedient'), reason))).toMatchObject({
        outcome: 'Cancelled',
        reason: 'Cancelled',
        message: `told ${reason}`,
      });
    },
  );

  test('the timeout counts from the entry and gives TimedOut', async () => {
    const result = await bench.run({ node: 'obedient', timeoutMs: 60 });
    expect(result).toMatchObject({ outcome: 'TimedOut', reason: 'TimedOut', message: 'told TimedOut' });
    expect(result.unconfirmed).toBeUndefined();
    expect(Date.parse(result.finishedAt) - Date.parse(result.startedAt)).toBeGreaterThanOrEqual(59);
  });

  test('the first reason counts', async () => {
    const result = await interrupted('obedient', () => {
      bench.host.stop(ref('obedient'), 'Abandoned');
      bench.host.stop(ref('obedient'), 'Cancelled');
    });
    expect(result.message).toBe('told Abandoned');
  });

  test('an executor that throws meanwhile leaves the end unconfirmed', async () => {
    expect(await interrupted('confused', () => bench.host.stop(ref('confused'), 'Cancelled'))).toMatchObject({
      outcome: 'Cancelled',
      unconfirmed: true,
      message: expect.stringMatching(/^The step was cancelled\. While it was ended: channel closed /),
    });
  });

  test('an executor that ignores the signal is reported without it, unconfirmed, with all of its output', async () => {
    const result = await interrupted('deaf', () => bench.host.stop(ref('deaf'), 'Cancelled'));
    expect(result).toMatchObject({
      outcome: 'Cancelled',
      reason: 'Cancelled',
      unconfirmed: true,
      message: 'The step was cancelled. The executor did not end in time; what it started may still run.',
    });
    expect(result.log.sha256).toBe(sha256(await bench.logOf('deaf')));
  });

  test('an executor that ignores its timeout is reported as timed out, unconfirmed', async () => {
    expect(await bench.run({ node: 'deaf', timeoutMs: 30 })).toMatchObject({
      outcome: 'TimedOut',
      reason: 'TimedOut',
      unconfirmed: true,
    });
  });

  test('an executor that blocks its thread is timed out, and the next task runs in a new thread', async () => {
    expect(await bench.run({ node: 'loop', timeoutMs: 30 })).toMatchObject({
      outcome: 'TimedOut',
      unconfirmed: true,
    });
    expect(await bench.run({ node: 'echo' })).toMatchObject({ outcome: 'Succeeded' });
  });

  test('an attempt stopped before its executor was loaded never begins', async () => {
    const request = await bench.prepare({ node: 'late' });
    const result = bench.host.execute(request);
    bench.host.stop(request, 'Cancelled');
    expect(await result).toMatchObject({
      outcome: 'Cancelled',
      message: 'The step was cancelled. It had not begun.',
    });
    expect((await result).unconfirmed).toBeUndefined();
    expect(await bench.logOf('late')).toHaveLength(0);
  });
});

describe('a crash of the executor thread', () => {
  test('fails the attempts inside, unconfirmed, without its secrets, and a new thread takes over', async () => {
    const other = bench.run({ node: 'obedient' });
    await bench.begun('obedient');
    const result = await bench.run({ node: 'crash' });
    expect(result).toMatchObject({ outcome: 'Failed', reason: 'ExecutorCrashed', unconfirmed: true });
    expect(result.message).toBe(
      "The runner's executor thread ended while the step ran: lost [redacted]. What the step started may still run. " +
        'Check the target before running the step again.',
    );
    expect(result.message).not.toContain(password);
    expect(await other).toMatchObject({ outcome: 'Failed', reason: 'ExecutorCrashed', unconfirmed: true });
    const { frames } = decodeFrames(await bench.logOf('obedient'));
    expect(frames).toHaveLength(1);
    expect((await other).log.sha256).toBe(sha256(await bench.logOf('obedient')));
    expect(await bench.run({ node: 'echo' })).toMatchObject({ outcome: 'Succeeded' });
  });

  test('that was caused by closing the host is said to be that', async () => {
    const result = await interrupted('deaf', () => bench.host.close());
    expect(result).toMatchObject({
      reason: 'ExecutorCrashed',
      message: expect.stringContaining('the runner is closing'),
    });
    expect(bench.host.size).toBe(0);
  });
});

describe('reaping what an earlier process left', () => {
  test('answers what the node type found out', async () => {
    await bench.run({ node: 'echo' });
    expect(await bench.host.reap('echo', { pid: 7 })).toBe(true);
    expect(await bench.host.reap('echo', { pid: 8 })).toBe(false);
  });

  test('is never sure where the node type is unknown or cannot reap', async () => {
    expect(await bench.host.reap('deaf', { pid: 7 })).toBe(false);
    expect(await bench.host.reap('gone', { pid: 7 })).toBe(false);
  });
});

describe('a journal without room for the end of a log', () => {
  test('keeps the attempt until there is room, then gives its true result', async () => {
    bench.failSeals(1);
    const result = await bench.run({ node: 'echo', script: 'kept\n' });
    expect(result).toMatchObject({ outcome: 'Succeeded', exitCode: 0 });
    expect(result.log.sha256).toBe(sha256(await bench.logOf('echo')));
    expect(bench.failedSeals()).toBe(1);
  });
});
