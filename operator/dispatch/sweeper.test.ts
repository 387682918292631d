import { describe, expect, test } from 'vitest';
import { startSweeper } from './sweeper.ts';
import { aTask, addRunner, bench, connect, ready, running, stateOf, times, useBench } from './test-bench.ts';

useBench();

/** The sweeper of an operator that starts now; time goes on for it second by second. */
const startOperator = () => {
  const { ledger, logs, board } = bench;
  const onError = (error: unknown): void => {
    throw error;
  };
  const sweeper = startSweeper({
    ledger,
    logs,
    board,
    times,
    paused: () => false,
    now: () => bench.now,
    onError,
  });
  sweeper.stop();
  const pass = async (seconds: number): Promise<void> => {
    for (let i = 0; i < seconds; i++) {
      bench.now += 1000;
      await sweeper.tick();
    }
  };
  return { pass };
};

describe('an operator that was down for long', () => {
  test('lets a runner come back before it takes its lease for lost', async () => {
    const { runner, offer } = await running();
    bench.now += 3_600_000;
    const operator = startOperator();
    await operator.pass(29);
    expect(await stateOf('t1')).toBe('Running');
    await runner.poll([offer], AbortSignal.abort());
    await operator.pass(60);
    expect(await stateOf('t1')).toBe('Running');
  });

  test('gives nothing up as Lost before it has listened for two minutes', async () => {
    await running();
    bench.now += 90_001;
    await bench.sweep();
    bench.now += 3_600_000;
    const operator = startOperator();
    await operator.pass(119);
    expect(await stateOf('t1')).toBe('Unknown');
    await operator.pass(1);
    expect(await stateOf('t1')).toBe('Lost');
  });

  test('offers what waits before it fails for having waited', async () => {
    await ready(aTask('t1'));
    bench.now += 7_200_000;
    const operator = startOperator();
    await operator.pass(20);
    const runner = await connect(addRunner('r1'));
    expect((await runner.poll()).offers).toHaveLength(1);
  });
});

test('an operator that stood still, as a suspended machine does, lets runners come back as well', async () => {
  await running();
  const operator = startOperator();
  await operator.pass(60);
  bench.now += 3_600_000;
  await operator.pass(29);
  expect(await stateOf('t1')).toBe('Running');
  await operator.pass(2);
  expect(await stateOf('t1')).toBe('Unknown');
});
