import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createDelayMeter } from './event-loop.ts';

let meter: ReturnType<typeof createDelayMeter>;
beforeEach(() => {
  meter = createDelayMeter();
});
afterEach(() => meter.stop());

/** Nothing else can happen meanwhile. */
const block = (milliseconds: number): void => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
};

test('an idle loop is hardly late: the time between two looks does not count', async () => {
  const quiet = async (): Promise<number> => {
    meter.reset();
    await sleep(200);
    return meter.p99();
  };
  // One quiet fifth of a second is found on a busy machine, too.
  await expect.poll(quiet, { timeout: 15_000 }).toBeLessThan(8);
});

test('a blocked loop is as late as it was blocked', async () => {
  await sleep(50);
  block(300);
  await sleep(50);
  expect(meter.p99()).toBeGreaterThan(280);
});
