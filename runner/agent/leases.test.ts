import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createAttempts, stopReason, type Attempt } from './attempts.ts';
import { createLeases } from './leases.ts';
import { memoryLogger, ref, spec } from './testing/bench.ts';

const noJournal = { acknowledged: () => Promise.resolve() };

/** Two attempts, one under `onLost: Retry`, with a clock that the test moves. */
const setUp = () => {
  const settings = { pollMs: 20_000, leaseMs: 90_000, killGraceMs: 30_000 };
  const logger = memoryLogger();
  const attempts = createAttempts({ capacity: 4, journal: noJournal, logger });
  const time = { ms: 1_000_000 };
  const stop = new AbortController();
  const leases = createLeases({
    attempts,
    settings: { current: settings },
    stop: stop.signal,
    logger,
    now: () => time.ms,
    sleep: () => turn(),
  });
  const add = (task: string, onLost: 'Retry' | 'Fail'): Attempt => {
    const attempt = attempts.add(ref(task), { ...spec, onLost }, 'Running');
    if (attempt === undefined) throw new Error('it is there already');
    return attempt;
  };
  const [retried, failed] = [add('retried', 'Retry'), add('failed', 'Fail')];
  const running = leases.run();
  /** Lets so much time pass and the loop look at it. */
  const pass = async (ms: number): Promise<void> => {
    time.ms += ms;
    for (let i = 0; i < 5; i += 1) await turn();
  };
  const end = async (): Promise<void> => {
    stop.abort();
    await running;
  };
  return { leases, retried, failed, time, pass, end, logger };
};

test('under onLost Retry work is ended once no renewal was acknowledged for two thirds of a lease, else it goes on', async () => {
  const { leases, retried, failed, time, pass, end, logger } = setUp();
  leases.renewed([retried.ref, failed.ref], time.ms);
  await pass(59_999);
  expect(stopReason(retried)).toBeUndefined();
  await pass(1);
  expect([stopReason(retried), stopReason(failed)]).toEqual(['LeaseLost', undefined]);
  expect(logger.lines).toEqual([
    'a lease cannot be renewed; the attempt is ended, so that it may be retried elsewhere {"attempt":"retried/1","unheardMs":60000}',
  ]);
  await end();
});

test('the time counts from when the acknowledged renewal was sent, however late its answer came', async () => {
  const { leases, retried, time, pass, end } = setUp();
  const sentAt = time.ms;
  leases.renewed([retried.ref], sentAt);
  await pass(50_000);
  leases.renewed([retried.ref], sentAt + 30_000);
  // A late answer to an earlier request takes nothing back.
  leases.renewed([retried.ref], sentAt + 10_000);
  await pass(39_999);
  expect(stopReason(retried)).toBeUndefined();
  await pass(1);
  expect(stopReason(retried)).toBe('LeaseLost');
  await end();
});
