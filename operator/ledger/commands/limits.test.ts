import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { result } from '../invariants/builders.ts';
import { openScene, type Scene } from '../suite/scene.ts';

const day = 86_400_000;
const graceMs = 900_000;

let scene: Scene;
let locks = 0;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.end());

const aLock = (max = 1) => {
  locks += 1;
  return { lock: { key: `target/team-a/web-${locks}`, max } };
};
const heldBy = async (key: string) => (await scene.ledger.listLocks({ key })).map(({ task }) => task);

describe('a retry', () => {
  const retry = { limit: 2, delayMs: 200_000 };

  test.each(['Failed', 'TimedOut'] as const)(
    'follows an attempt that ended %s, each after a longer time',
    async (outcome) => {
      await scene.begin({ retry });
      await scene.start();
      const { now } = scene;
      expect(await scene.tell(outcome, { message: 'Exit code 3.' })).toMatchObject({ status: 'Recorded' });
      expect(await scene.task()).toMatchObject({
        state: 'Ready',
        epoch: 1,
        retriesLeft: 1,
        notBefore: now + 200_000,
        result: null,
        startedAt: null,
        reason: 'Retrying',
        message: `Attempt 1 ended ${outcome}: Exit code 3. The next attempt starts at ${new Date(now + 200_000).toISOString()} at the earliest; 1 retry is left after it.`,
      });
      // The same result once more, after the task has gone on.
      expect(await scene.tell(outcome, { message: 'Exit code 3.' })).toMatchObject({ status: 'Duplicate' });
      scene.now += 200_000;
      await scene.start();
      await scene.tell(outcome);
      // Doubled, and never more than five minutes.
      expect(await scene.task()).toMatchObject({ epoch: 2, retriesLeft: 0, notBefore: scene.now + 300_000 });
      scene.now += 300_000;
      await scene.start();
      await scene.tell(outcome);
      expect(await scene.task()).toMatchObject({ state: outcome, epoch: 3 });
    },
  );

  test.each([
    ['what was cancelled', 'Cancelled', {}],
    ['what may still run', 'Failed', { unconfirmed: true }],
    ['what succeeded', 'Succeeded', {}],
  ] as const)('does not follow %s', async (_, outcome, over) => {
    await scene.begin({ retry });
    await scene.start();
    await scene.tell(outcome, over);
    expect(await scene.task()).toMatchObject({ state: outcome, retriesLeft: 2 });
  });

  test('does not follow in a cancelled run', async () => {
    await scene.begin({ retry });
    await scene.start();
    await scene.ledger.requestCancel(scene.run, scene.now);
    await scene.tell('Failed');
    expect(await scene.task()).toMatchObject({ state: 'Failed' });
  });
});

describe('a target that takes one attempt at a time', () => {
  test('keeps others waiting until the end of the one that has it', async () => {
    const over = aLock();
    await scene.begin(over);
    await scene.start();
    const first = scene.id;
    expect(await heldBy(over.lock.key)).toEqual([first]);
    const ended = await scene.task();
    await scene.begin(over);
    expect(await scene.offer()).toMatchObject({
      tasks: [],
      refused: [],
      waiting: [{ task: scene.id, reason: 'TargetBusy', key: over.lock.key }],
    });
    expect(await scene.task()).toMatchObject({ state: 'Ready', epoch: 0 });
    await scene.finish(ended, result('Succeeded'));
    expect(await heldBy(over.lock.key)).toEqual([]);
    expect((await scene.offer()).tasks[0]).toMatchObject({ state: 'Offered' });
  });

  test('takes as many as its number', async () => {
    const over = aLock(2);
    for (const _ of [1, 2]) {
      await scene.begin(over);
      expect((await scene.offer()).waiting).toEqual([]);
    }
    await scene.begin(over);
    expect((await scene.offer()).waiting).toMatchObject([{ reason: 'TargetBusy' }]);
  });

  test('is free again when an offer expires, is declined, or is withdrawn', async () => {
    const over = aLock();
    await scene.begin(over);
    await scene.offer();
    await scene.pass(10_000);
    expect(await scene.task()).toMatchObject({ state: 'Ready' });
    expect(await heldBy(over.lock.key)).toEqual([]);

    await scene.offer();
    await scene.restart([]);
    expect(await heldBy(over.lock.key)).toEqual([]);

    await scene.offer();
    const transitions = [{ task: scene.id, from: 'Offered', to: 'Cancelled' }] as const;
    await scene.ledger.applyPlan(
      { runUid: scene.run, revision: await scene.revision(), transitions },
      scene.now,
    );
    expect(await heldBy(over.lock.key)).toEqual([]);
  });

  test('stays taken by what was lost, for a day or until a person releases it', async () => {
    const over = aLock();
    await scene.begin(over);
    await scene.start();
    await scene.pass(90_000);
    await scene.pass(graceMs);
    expect(await scene.task()).toMatchObject({ state: 'Lost' });
    expect(await scene.ledger.listLocks({ key: over.lock.key })).toEqual([
      {
        key: over.lock.key,
        task: scene.id,
        epoch: 1,
        since: expect.any(Number),
        unconfirmed: true,
        expiresAt: scene.now + day,
      },
    ]);
    await scene.pass(day - 1);
    expect(await heldBy(over.lock.key)).toEqual([scene.id]);
    expect((await scene.decide({ decision: 'Release', uid: 'wrong', epoch: 2 })).problem).toMatchObject({
      code: 'StateMismatch',
      message:
        'Attempt 2 of step restart on target web-0 takes no place of its target whose end is unconfirmed.',
    });
    expect((await scene.decide({ decision: 'Release' })).problem).toBeUndefined();
    expect(await heldBy(over.lock.key)).toEqual([]);

    await scene.begin(over);
    await scene.start();
    await scene.tell('TimedOut', { unconfirmed: true });
    expect(await scene.task()).toMatchObject({ state: 'TimedOut', unconfirmed: 1 });
    expect(await heldBy(over.lock.key)).toEqual([scene.id]);
    await scene.pass(day);
    expect(await heldBy(over.lock.key)).toEqual([]);
  });

  test('is free when the runner that was lost tells after all that it ended', async () => {
    const over = aLock();
    await scene.begin(over);
    await scene.start();
    await scene.pass(90_000);
    await scene.pass(graceMs);
    await scene.tell('Failed');
    expect(await heldBy(over.lock.key)).toEqual([]);
  });

  test('stays with what is tried again, until an attempt of it has ended', async () => {
    const over = { ...aLock(), retry: { limit: 1, delayMs: 0 } };
    const { spec } = await scene.begin(over).then(scene.task);
    await scene.begin({ ...over, spec: { ...spec, onLost: 'Retry' } });
    await scene.start();
    await scene.pass(90_000);
    await scene.pass(30_000);
    expect(await scene.task()).toMatchObject({ state: 'Ready' });
    expect(await heldBy(over.lock.key)).toEqual([scene.id]);
    // The attempt that follows uses its own place, and an offer of it that expires does not give it away.
    await scene.offer();
    await scene.pass(10_000);
    expect(await heldBy(over.lock.key)).toEqual([scene.id]);
    await scene.start();
    // Nor does a day that passes while it runs.
    await scene.ledger.renewLeases({
      by: await scene.task().then(({ runner, runnerName, session }) => ({
        clientId: runner ?? '',
        runnerName: runnerName ?? '',
        session: session ?? '',
      })),
      attempts: [scene.ref()],
      leaseExpiresAt: scene.now + 2 * day,
    });
    await scene.pass(day + 1);
    expect(await heldBy(over.lock.key)).toEqual([scene.id]);
    await scene.tell('Succeeded');
    expect(await heldBy(over.lock.key)).toEqual([]);
  });
});

test('a namespace has no more attempts than its limit', async () => {
  const { ledger } = scene;
  await scene.begin();
  const { spec } = await scene.task();
  const namespace = 'team-limited';
  const run = (uid: string) => ({
    uid,
    namespace,
    name: uid,
    specDigest: uid,
    workflow: { name: 'w', uid: 'w', generation: 1, digest: 'd' },
    steps: [{ name: 'restart', node: 'ssh-exec', fanOut: true }],
    requestedBy: null,
    createdAt: scene.now,
  });
  const ids = ['limited-1', 'limited-2', 'limited-3'];
  await ledger.createRun({
    run: run('limited'),
    tasks: ids.map((id) => ({
      id,
      stepIndex: 0,
      target: id,
      spec: { ...spec, namespace },
      tags: [],
      local: false,
    })),
  });
  await ledger.applyPlan(
    {
      runUid: 'limited',
      revision: 1,
      transitions: ids.map((task) => ({ task, from: 'Pending', to: 'Ready' })),
    },
    scene.now,
  );
  const { runner, runnerName, session } = await scene.start().then(scene.task);
  const to = { clientId: runner ?? '', runnerName: runnerName ?? '', session: session ?? '' };
  const offer = (tasks: readonly string[], epoch: number) =>
    ledger.offerTasks({
      to,
      tasks: tasks.map((task) => ({ task, epoch })),
      now: scene.now,
      expiresAt: scene.now + 10_000,
      namespaceLimit: 2,
    });
  const { tasks, waiting } = await offer(ids, 0);
  expect(tasks.map(({ id }) => id)).toEqual(['limited-1', 'limited-2']);
  expect(waiting).toEqual([{ task: 'limited-3', reason: 'QuotaReached', key: namespace }]);
  await ledger.recordReports({
    by: to,
    reports: [{ task: 'limited-1', epoch: 1, kind: 'Released' }],
    now: scene.now,
  });
  expect((await offer(['limited-3'], 0)).tasks[0]).toMatchObject({ state: 'Offered' });
});
