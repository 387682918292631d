import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { createWorkQueue, objectKey, queueKey } from './work-queue.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const setup = (concurrency = 4) => {
  const begun: string[] = [];
  const errors: unknown[] = [];
  const open = new Map<string, PromiseWithResolvers<void>>();
  const queue = createWorkQueue({
    concurrency,
    reconcile: (key) => {
      begun.push(key);
      const work = Promise.withResolvers<void>();
      open.set(key, work);
      return work.promise;
    },
    onError: (_, error) => errors.push(error),
  });
  const settle = async (key: string, error?: Error): Promise<void> => {
    if (error === undefined) open.get(key)?.resolve();
    else open.get(key)?.reject(error);
    await turn();
  };
  return { queue, begun, errors, settle };
};

const turn = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

describe('the work queue', () => {
  test('runs a key once however often it was added before', async () => {
    const { queue, begun } = setup();
    queue.add('a');
    queue.add('a');
    await turn();
    expect(begun).toEqual(['a']);
  });

  test('runs a key once more when it was added while it was in work, never twice at a time', async () => {
    const { queue, begun, settle } = setup();
    queue.add('a');
    await turn();
    queue.add('a');
    queue.add('a');
    await turn();
    expect(begun).toEqual(['a']);
    await settle('a');
    expect(begun).toEqual(['a', 'a']);
    await settle('a');
    expect(begun).toEqual(['a', 'a']);
  });

  test('works on as many keys as it may at a time, in order', async () => {
    const { queue, begun, settle } = setup(2);
    for (const key of ['a', 'b', 'c']) queue.add(key);
    await turn();
    expect(begun).toEqual(['a', 'b']);
    await settle('b');
    expect(begun).toEqual(['a', 'b', 'c']);
  });

  test('tries again after 5 ms, doubling to 5 minutes, and forgets failures after a success', async () => {
    const { queue, begun, errors, settle } = setup();
    const waits: number[] = [];
    queue.add('a');
    await turn();
    for (let failure = 0; failure < 18; failure++) {
      const before = performance.now();
      await settle('a', new Error(`failure ${failure}`));
      await vi.advanceTimersToNextTimerAsync();
      waits.push(performance.now() - before);
    }
    expect(waits.slice(0, 4)).toEqual([5, 10, 20, 40]);
    expect(waits.slice(-2)).toEqual([300_000, 300_000]);
    expect(errors).toHaveLength(18);
    await settle('a');
    queue.add('a');
    await turn();
    await settle('a', new Error('again'));
    await vi.advanceTimersByTimeAsync(5);
    expect(begun).toHaveLength(21);
  });

  test('keeps the earlier of two times', async () => {
    const { queue, begun } = setup();
    queue.addAfter('a', 1000);
    queue.addAfter('a', 100);
    queue.addAfter('a', 5000);
    await vi.advanceTimersByTimeAsync(99);
    expect(begun).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(begun).toEqual(['a']);
    expect(vi.getTimerCount()).toBe(0);
  });

  test('stops by waiting for what is in work, and takes nothing more', async () => {
    const { queue, begun, settle } = setup(1);
    queue.add('a');
    queue.add('b');
    queue.addAfter('c', 1);
    await turn();
    let stopped = false;
    const stop = queue.stop().then(() => (stopped = true));
    queue.add('d');
    await vi.advanceTimersByTimeAsync(1000);
    expect(stopped).toBe(false);
    await settle('a');
    await stop;
    expect(begun).toEqual(['a']);
  });
});

test('a key is namespace and name, and back', () => {
  expect(objectKey(queueKey({ namespace: 'payments', name: 'edge.1' }))).toEqual({
    namespace: 'payments',
    name: 'edge.1',
  });
});
