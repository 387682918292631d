import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openScene, type Scene } from '../suite/scene.ts';

const day = 86_400_000;

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.end());

describe('a pause', () => {
  const pause = (paused: boolean) => scene.ledger.setPaused({ runUid: scene.run, paused, now: scene.now });

  test('blocks what is Ready, offers nothing, and stops the queue’s clock', async () => {
    await scene.begin();
    expect((await pause(true)).tasks).toMatchObject([
      { state: 'Blocked', reason: 'Paused', queueDeadline: null, deadline: scene.now + 7 * day },
    ]);
    expect((await pause(true)).tasks).toEqual([]);
    expect(await scene.offer()).toMatchObject({ tasks: [], refused: [scene.id] });
    await scene.pass(2 * 3_600_000);
    expect(await scene.task()).toMatchObject({ state: 'Blocked' });
    expect((await pause(false)).tasks).toMatchObject([
      { state: 'Ready', queueDeadline: scene.now + 3_600_000, deadline: null, reason: null },
    ]);
    expect((await scene.offer()).tasks[0]).toMatchObject({ state: 'Offered' });
  });

  test('leaves what runs alone, and an offer that expires under it is not offered again', async () => {
    await scene.begin();
    await scene.start();
    expect((await pause(true)).tasks).toEqual([]);
    await scene.tell('Succeeded');
    expect(await scene.task()).toMatchObject({ state: 'Succeeded' });

    await scene.begin();
    await scene.offer();
    await pause(true);
    await scene.pass(10_000);
    expect(await scene.task()).toMatchObject({ state: 'Ready' });
    expect((await scene.offer()).waiting).toEqual([{ task: scene.id, reason: 'Paused' }]);
  });

  test('ends after seven days: the step fails as Expired', async () => {
    await scene.begin();
    await pause(true);
    await scene.pass(7 * day);
    expect(await scene.task()).toMatchObject({ state: 'Failed', reason: 'Expired' });
    expect((await scene.task()).message).toMatch(
      /^It was blocked until .*: The run is paused\..* Start a new run/,
    );
  });

  test('keeps the back-off of a retry', async () => {
    await scene.begin({ retry: { limit: 1, delayMs: 60_000 } });
    await scene.start();
    await scene.tell('Failed');
    const { notBefore } = await scene.task();
    await pause(true);
    await pause(false);
    expect(await scene.task()).toMatchObject({ state: 'Ready', notBefore });
    expect((await scene.offer()).waiting).toMatchObject([{ reason: 'BackOff' }]);
  });
});

describe('a process that dies', () => {
  const restartAs = (on: string, state: 'Started' | 'Finished' | 'Accepted' = 'Started') =>
    scene.restart([scene.item(state)], `2026-11-${on}T10:00:00Z`);

  test('three times with the same task poisons it', async () => {
    await scene.begin();
    await scene.start();
    await restartAs('23');
    expect(await scene.task()).toMatchObject({ state: 'Running', crashes: 1 });
    await restartAs('24');
    const { answers } = await restartAs('25');
    expect(answers[0]).toMatchObject({ decision: 'Abandon', error: { code: 'Poisoned' } });
    expect(await scene.task()).toMatchObject({
      state: 'Failed',
      reason: 'Poisoned',
      crashes: 3,
      unconfirmed: 1,
    });
  });

  test('ten minutes after it took a task up did not die of that task', async () => {
    await scene.begin();
    await scene.start();
    await restartAs('23');
    scene.now += 10 * 60_000;
    await restartAs('24');
    await restartAs('25');
    expect(await scene.task()).toMatchObject({ state: 'Running', crashes: 2 });
    await restartAs('26');
    expect(await scene.task()).toMatchObject({ state: 'Failed', reason: 'Poisoned' });
  });

  test('is not told by a session that the same process opens again, nor by one that brings the result', async () => {
    await scene.begin();
    await scene.start();
    for (const _ of [1, 2, 3]) await scene.restart([scene.item('Started')]);
    expect(await scene.task()).toMatchObject({ state: 'Running', crashes: 0 });
    await restartAs('23', 'Finished');
    expect(await scene.task()).toMatchObject({ state: 'Running', crashes: 0 });
  });
});
