import { describe, expect, test } from 'vitest';
import type { NewTask } from '../ledger/records.ts';
import { aNewRun } from '../testing/builders.ts';
import { aTask, addRunner, bench, connect, ref, useBench } from './test-bench.ts';

useBench();

/** Makes the tasks of a run Ready, as the planner does. */
const readyRun = async (uid: string, tasks: readonly NewTask[], priority = 0): Promise<void> => {
  const specDigest = uid.padEnd(64, '0');
  await bench.ledger.createRun({ run: aNewRun({ uid, name: uid, specDigest, priority }), tasks });
  const known = await bench.ledger.readRun(uid);
  const transitions = tasks.map(({ id }) => ({
    task: id,
    from: 'Pending' as const,
    to: 'Ready' as const,
    queueDeadline: bench.now + 3_600_000,
  }));
  const plan = { runUid: uid, revision: known?.run.revision ?? 0, transitions };
  bench.board.apply((await bench.ledger.applyPlan(plan, bench.now)).tasks);
};

const wave = (name: string, count: number, over: Partial<NewTask> = {}): NewTask[] =>
  Array.from({ length: count }, (_, i) => aTask(`${name}-${i}`, over));

/** Ids without their numbers, sorted. */
const kinds = (offers: readonly { task: string }[]): string[] =>
  offers.map(({ task }) => task.replace(/-\d+$/, '')).toSorted();

describe('a runner with few slots', () => {
  test('is given an incident before the rest of 10,000 tasks that have waited for longer', async () => {
    await readyRun('patch', wave('patch', 10_000));
    const runner = await connect(addRunner('r1'));
    const first = await runner.poll();
    expect(kinds(first.offers)).toEqual(['patch', 'patch']);
    await readyRun('incident', wave('incident', 2), 500);
    const waiting = bench.board.get('patch-9999');
    expect(waiting && bench.explain(waiting)).toEqual({
      reason: 'RunnersBusy',
      message: 'Waits for a free slot on r1. 2 steps of a higher priority than 0 go first.',
    });
    await runner.accept(...first.offers.map(ref));
    for (const offer of first.offers) await runner.result(ref(offer));
    expect(kinds((await runner.poll()).offers)).toEqual(['incident', 'incident']);
  });

  test('serves runs in turn, whatever tags they ask for', async () => {
    await readyRun('big', wave('big', 50));
    await readyRun('small', wave('small', 2, { tags: ['linux'] }));
    await readyRun('other', wave('other', 2, { tags: ['eu'] }));
    const runner = await connect(addRunner('r1', { tags: ['linux', 'eu'] }), { capacity: 6 });
    const poll = bench.dispatch.poll(
      { clientId: 'key-r1', namespace: 'payments', name: 'r1', local: false },
      { ...runner.envelope, capacity: 6, load: 0, held: [], now: new Date(bench.now).toISOString() },
      new AbortController().signal,
    );
    expect(kinds((await poll).offers)).toEqual(['big', 'big', 'other', 'other', 'small', 'small']);
  });
});

describe('offers', () => {
  test('go out and are accepted in batches, each in one transaction', async () => {
    await readyRun('many', wave('many', 100));
    const identity = addRunner('r1');
    const runner = await connect(identity, { capacity: 100 });
    let offered = 0;
    const offerTasks = bench.ledger.offerTasks.bind(bench.ledger);
    bench.ledger.offerTasks = (command) => {
      offered += 1;
      return offerTasks(command);
    };
    const request = { ...runner.envelope, load: 0, held: [], now: new Date(bench.now).toISOString() };
    const never = new AbortController().signal;
    const { offers } = await bench.dispatch.poll(identity, { ...request, capacity: 100 }, never);
    expect([offers.length, offered]).toEqual([64, 1]);
    const { attempts } = await runner.accept(...offers.map(ref));
    expect(new Set(attempts.map(({ status }) => status))).toEqual(new Set(['Recorded']));
  });

  test('to a busy Target wait, say for what, and go out when it is free', async () => {
    const lock = { key: 'payments/db-1', max: 1 };
    await readyRun('one', [aTask('db-a', { lock, target: 'db-1' })]);
    await readyRun('two', [aTask('db-b', { lock, target: 'db-1' }), aTask('web')]);
    const runner = await connect(addRunner('r1', { limits: { concurrency: 4 } }), { capacity: 4 });
    const poll = runner.poll();
    const first = (await poll).offers.map(ref);
    expect(first.map(({ task }) => task).toSorted()).toEqual(['db-a', 'web']);
    const waiting = bench.board.get('db-b');
    expect(waiting && bench.explain(waiting)).toEqual({
      reason: 'TargetBusy',
      message:
        'Target db-1 takes 1 at a time (spec.maxParallel) and is in use by restart-1 (step greet). It starts when that has ended; `outrider decide … --release` frees what nobody can confirm.',
    });
    await runner.accept(...first);
    const ended = first.find(({ task }) => task === 'db-a');
    if (!ended) throw new Error('db-a was not offered');
    await runner.result(ended);
    await expect.poll(() => bench.board.get('db-b')?.state).toBe('Ready');
    expect((await runner.poll(first.filter((one) => one !== ended))).offers.map(({ task }) => task)).toEqual([
      'db-b',
    ]);
  });
});

test('a failed attempt is offered again when its back-off is over, by a timer of its own', async () => {
  const retry = { limit: 1, delayMs: 300 };
  await readyRun('flaky', [aTask('flaky-0', { retry })]);
  const runner = await connect(addRunner('r1'));
  const offer = ref((await runner.poll()).offers[0]);
  await runner.accept(offer);
  const at = new Date(bench.now).toISOString();
  await runner.result(offer, {
    outcome: 'Failed',
    exitCode: 1,
    reason: 'NonZeroExit',
    message: 'It failed.',
    startedAt: at,
    finishedAt: at,
    log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
  });
  const waiting = bench.board.get('flaky-0');
  expect(waiting && bench.explain(waiting)).toEqual({
    reason: 'BackOff',
    message: `Attempt 1 failed. Attempt 2 starts at ${new Date(bench.now + 300).toISOString()} at the earliest.`,
  });
  const poll = runner.poll();
  bench.now += 300;
  expect((await poll).offers.map(({ task, epoch }) => [task, epoch])).toEqual([['flaky-0', 2]]);
});
