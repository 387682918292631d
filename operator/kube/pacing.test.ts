import { expect, test } from 'vitest';
import { backOffMs, pause } from './back-off.ts';
import { createRateWindow } from './rate-window.ts';

test('waits double from 100 ms to 30 s, less up to half by jitter', () => {
  const most = [1, 2, 3, 10, 100].map((failures) => backOffMs(failures, { random: () => 0 }));
  expect(most).toEqual([100, 200, 400, 30_000, 30_000]);
  expect(backOffMs(1, { random: () => 1 })).toBe(50);
});

test('a pause ends with its signal, before it and in it', async () => {
  const stop = new AbortController();
  const paused = pause(60_000, stop.signal);
  stop.abort();
  await paused;
  await pause(60_000, stop.signal);
});

test('a rate window lets its number through in any window, not only in those of a grid', () => {
  const window = createRateWindow(2, 1000);
  const go = (now: number): boolean => {
    const free = window.freeAt(now) <= now;
    if (free) window.take(now);
    return free;
  };
  expect([0, 900, 950, 1000, 1001, 1899, 1900, 2000].map(go)).toEqual([
    true,
    true,
    false,
    true,
    false,
    false,
    true,
    true,
  ]);
  expect(window.freeAt(2001)).toBe(2900);
});
