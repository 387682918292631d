import { expect, test } from 'vitest';
import { createLeaseGuard } from './lease-guard.ts';
import { memoryLogger } from './testing/bench.ts';

const setUp = () => {
  const time = { wall: 1_000_000, monotonic: 0 };
  const logger = memoryLogger();
  let validations = 0;
  let finish: () => void = () => undefined;
  const guard = createLeaseGuard({
    revalidate: () => {
      validations += 1;
      return new Promise<void>((resolve) => (finish = resolve));
    },
    stop: new AbortController().signal,
    logger,
    clocks: { wall: () => time.wall, monotonic: () => time.monotonic },
  });
  const pass = (wall: number, monotonic = wall): void => {
    time.wall += wall;
    time.monotonic += monotonic;
  };
  /** Whether work may start within this turn of the event loop. */
  const isReady = async (): Promise<boolean> => {
    const later = new Promise<false>((resolve) => setImmediate(() => resolve(false)));
    return Promise.race([guard.ready().then(() => true), later]);
  };
  return { pass, isReady, logger, finish: () => finish(), validations: () => validations };
};

test('while time passes evenly work starts at once', async () => {
  const { pass, isReady, validations } = setUp();
  pass(1000);
  expect(await isReady()).toBe(true);
  pass(900, 4000);
  expect(await isReady()).toBe(true);
  expect(validations()).toBe(0);
});

test.each([
  ['a suspended machine: the wall clock went on and the monotonic one stood', 60_000, 10],
  ['a clock set back by an hour', -3_600_000, 10],
  ['a stopped process: both went on and nobody looked', 60_000, 60_000],
])('%s: nothing starts before the operator was asked', async (_, wall, monotonic) => {
  const { pass, isReady, finish, validations, logger } = setUp();
  pass(wall, monotonic);
  expect(await isReady()).toBe(false);
  expect(await isReady()).toBe(false);
  expect(validations()).toBe(1);
  expect(logger.lines[0]).toContain('time jumped');
  finish();
  await Promise.resolve();
  expect(await isReady()).toBe(true);
});
