import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newRun, newTask, result } from '../invariants/builders.ts';
import { openScene, type Scene } from '../suite/scene.ts';

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene.end());

const enter = () =>
  scene.ledger.enterRecovery({ generation: 'restored', reason: 'The sequence fell.', now: scene.now });
const leave = () => scene.ledger.leaveRecovery({ by: 'alice', now: scene.now });

test('enterRecovery makes a new generation, remembers the one before and doubts every task that is not final', async () => {
  await scene.begin();
  const former = scene.ledger.generation;
  expect((await enter()).tasks).toMatchObject([{ id: scene.id, state: 'Ready', uncertain: true }]);
  expect(scene.ledger.generation).toBe('restored');
  expect(await scene.ledger.readMeta()).toMatchObject({
    generation: 'restored',
    formerGenerations: [former],
    recovery: { since: scene.now, reason: 'The sequence fell.' },
  });
  expect((await enter()).tasks).toEqual([]);
});

test('nothing starts in recovery: no offer, no plan, no run', async () => {
  await scene.begin();
  await enter();
  const active = { code: 'RecoveryActive' };
  await expect(scene.offer()).rejects.toMatchObject(active);
  const plan = { runUid: scene.run, revision: await scene.revision(), transitions: [] };
  await expect(scene.ledger.applyPlan(plan, scene.now)).rejects.toMatchObject(active);
  await expect(
    scene.ledger.createRun({ run: newRun('new', scene.now), tasks: [newTask('new-1', 'new', 0)] }),
  ).rejects.toMatchObject(active);
  await scene.pass(30 * 86_400_000);
  expect(await scene.task()).toMatchObject({ state: 'Ready', uncertain: true });
});

test('nothing ends in recovery by a deadline of the restored ledger', async () => {
  await scene.begin();
  await scene.start();
  await enter();
  await scene.pass(30 * 86_400_000);
  expect(await scene.task()).toMatchObject({ state: 'Running', uncertain: true });
});

describe('a runner that vouches', () => {
  test('goes on with a task that the copy has as not offered yet, at the epoch of its journal', async () => {
    await scene.begin({ lock: { key: 'target/team-a/db', max: 1 } });
    const former = scene.ledger.generation;
    await enter();
    const { answers } = await scene.restart([
      { task: scene.id, epoch: 3, generation: former, state: 'Started' },
    ]);
    expect(answers).toEqual([{ task: scene.id, epoch: 3, logOffset: 0, decision: 'Continue' }]);
    expect(await scene.task()).toMatchObject({
      state: 'Running',
      epoch: 3,
      uncertain: false,
      runnerName: 'dc1',
    });
    expect(await scene.ledger.listLocks({ key: 'target/team-a/db' })).toMatchObject([
      { task: scene.id, epoch: 3 },
    ]);
    const told = await scene.ledger.recordReports({
      by: await holder(),
      reports: [{ task: scene.id, epoch: 3, kind: 'Result', result: result('Succeeded') }],
      now: scene.now,
    });
    expect(told.answers[0]).toMatchObject({ status: 'Recorded' });
    expect(await scene.task()).toMatchObject({ state: 'Succeeded' });
    expect(await scene.ledger.listLocks({ key: 'target/team-a/db' })).toEqual([]);
  });

  test('at a lower epoch than the ledger’s, or of a generation that it never had, is told to abandon', async () => {
    await scene.begin();
    await scene.start();
    const former = scene.ledger.generation;
    await enter();
    const { answers } = await scene.restart([
      { task: scene.id, epoch: 1, generation: 'another', state: 'Started' },
    ]);
    expect(answers[0]).toMatchObject({ decision: 'Abandon', error: { code: 'GenerationMismatch' } });
    await scene.restart([{ task: scene.id, epoch: 4, generation: former, state: 'Started' }]);
    const late = await scene.restart([
      { task: scene.id, epoch: 4, generation: 'restored', state: 'Started' },
      { task: scene.id, epoch: 2, generation: former, state: 'Started' },
    ]);
    expect(late.answers.map(({ decision }) => decision)).toEqual(['Continue', 'Abandon']);
    expect(await scene.task()).toMatchObject({ state: 'Running', epoch: 4 });
  });

  test('after recovery is told to abandon', async () => {
    await scene.begin();
    const former = scene.ledger.generation;
    await enter();
    await leave();
    const { answers } = await scene.restart([
      { task: scene.id, epoch: 3, generation: former, state: 'Started' },
    ]);
    expect(answers[0]).toMatchObject({ decision: 'Abandon', error: { code: 'EpochMismatch' } });
  });

  test('in recovery goes on in later sessions, too, under the generation of its journal', async () => {
    await scene.begin();
    const former = scene.ledger.generation;
    await enter();
    const item = { task: scene.id, epoch: 3, generation: former, state: 'Started' } as const;
    await scene.restart([item]);
    await leave();
    expect((await scene.restart([item])).answers[0]).toMatchObject({ decision: 'Continue' });
    expect(await scene.task()).toMatchObject({ state: 'Running', epoch: 3 });
  });
});

const holder = async () => {
  const { runner, runnerName, session } = await scene.task();
  return { clientId: runner ?? '', runnerName: runnerName ?? '', session: session ?? '' };
};

describe('a result that was acknowledged before the copy was put back', () => {
  const handIn = async (epoch: number, outcome: 'Succeeded' | 'Failed') => {
    const generation = scene.ledger.generation;
    await enter();
    await scene.restart([]);
    const by = {
      clientId: `${scene.id}-dc1`,
      runnerName: 'dc1',
      session:
        (await scene.ledger.currentSessions()).find(({ clientId }) => clientId === `${scene.id}-dc1`)
          ?.session ?? '',
    };
    const items = [{ task: scene.id, epoch, generation, result: result(outcome) }];
    return scene.ledger.recordRecovery({ by, items, now: scene.now });
  };

  test('ends its task truly', async () => {
    await scene.begin();
    expect(await handIn(2, 'Succeeded')).toMatchObject({
      accepted: 1,
      tasks: [{ id: scene.id, state: 'Succeeded', epoch: 2, uncertain: false, runnerName: 'dc1' }],
    });
  });

  test('and failed ends it only where no attempt can have followed', async () => {
    await scene.begin({ retry: { limit: 1, delayMs: 0 } });
    expect(await handIn(1, 'Failed')).toEqual({ accepted: 0, tasks: [] });
    expect(await scene.task()).toMatchObject({ state: 'Ready', uncertain: true });
  });

  test('and recorded before the copy was made says nothing new, nor does the journal that has it', async () => {
    await scene.begin({ retry: { limit: 3, delayMs: 0 } });
    await scene.start();
    await scene.tell('Failed');
    expect(await handIn(1, 'Failed')).toEqual({ accepted: 0, tasks: [] });
    const [generation = ''] = (await scene.ledger.readMeta()).formerGenerations;
    const item = scene.item('Finished', generation);
    expect((await scene.restart([item])).answers[0]).toMatchObject({ decision: 'Continue' });
    expect(await scene.tell('Failed')).toMatchObject({ status: 'Duplicate' });
    expect(await scene.task()).toMatchObject({ state: 'Ready', uncertain: true });
    expect((await leave()).tasks).toMatchObject([{ state: 'AwaitingHuman', epoch: 1001 }]);
  });

  test('is nothing outside of recovery', async () => {
    await scene.begin();
    const by = { clientId: `${scene.id}-dc1`, runnerName: 'dc1', session: 'session-2' };
    const items = [
      { task: scene.id, epoch: 1, generation: scene.ledger.generation, result: result('Succeeded') },
    ];
    expect(await scene.ledger.recordRecovery({ by, items, now: scene.now })).toEqual({
      accepted: 0,
      tasks: [],
    });
  });
});

describe('leaveRecovery', () => {
  test('asks a person about what nobody vouched for, and uses no number twice', async () => {
    await scene.begin();
    await scene.start();
    await enter();
    expect((await leave()).tasks).toMatchObject([
      { id: scene.id, state: 'AwaitingHuman', epoch: 1001, uncertain: false },
    ]);
    expect((await scene.task()).message).toContain('--attempt 1001');
    expect((await scene.decide({ decision: 'Retry', epoch: 1001 })).problem).toBeUndefined();
    expect((await scene.offer()).tasks[0]).toMatchObject({ state: 'Offered', epoch: 1002 });
  });

  test('leaves a step whose turn has not come Pending; its turn asks a person', async () => {
    await scene.ledger.createRun({
      run: newRun('later', scene.now),
      tasks: [newTask('later-1', 'later', 0)],
    });
    await enter();
    expect((await leave()).tasks).toMatchObject([
      { id: 'later-1', state: 'Pending', epoch: 1000, uncertain: true },
    ]);
    const found = await scene.ledger.readRun('later');
    const { tasks } = await scene.ledger.applyPlan(
      {
        runUid: 'later',
        revision: found?.run.revision ?? 0,
        transitions: [{ task: 'later-1', from: 'Pending', to: 'AwaitingHuman', reason: 'AwaitingHuman' }],
      },
      scene.now,
    );
    expect(tasks[0]).toMatchObject({ state: 'AwaitingHuman', uncertain: false });
  });

  test('keeps the place of what may still run', async () => {
    await scene.begin({ lock: { key: 'target/team-a/db', max: 1 } });
    await scene.start();
    await enter();
    await leave();
    expect(await scene.ledger.listLocks({ key: 'target/team-a/db' })).toMatchObject([{ task: scene.id }]);
    await scene.decide({ decision: 'Succeeded', epoch: 1001 });
    expect(await scene.ledger.listLocks({ key: 'target/team-a/db' })).toEqual([]);
  });
});

test('of two that are doubted and tried again on a target that takes one, one goes after the other', async () => {
  const lock = { key: 'target/team-a/db', max: 1 };
  const restart = async (run: string, id: string) =>
    scene.ledger.decide({
      uid: `again-${id}`,
      runUid: run,
      step: 'restart',
      target: 'web-0',
      epoch: (await scene.ledger.readTask(id))?.epoch ?? 0,
      decision: 'Retry',
      by: 'bob',
      reason: 'it did not run',
      now: scene.now,
    });
  await scene.begin({ lock });
  const [firstRun, first] = [scene.run, scene.id];
  scene.now += 1;
  await scene.begin({ lock });
  await enter();
  await scene.restart([]);
  await leave();
  await restart(scene.run, scene.id);
  expect((await scene.offer()).waiting).toMatchObject([{ task: scene.id, reason: 'TargetBusy' }]);
  await restart(firstRun, first);
  expect((await scene.offer()).waiting).toMatchObject([{ task: scene.id, reason: 'TargetBusy' }]);
  const holders = await scene.ledger.listLocks({ key: lock.key });
  expect(holders.map(({ task }) => task).sort()).toEqual([first, scene.id].sort());
  await scene.execute((await scene.ledger.readTask(first)) ?? (await scene.task()), result('Succeeded'));
  expect((await scene.offer()).tasks).toMatchObject([{ id: scene.id, state: 'Offered' }]);
});

test('a journal that is ahead of the ledger tells that a copy of it was put back', async () => {
  await scene.begin();
  const generation = scene.ledger.generation;
  const { ahead } = await scene.restart([{ task: scene.id, epoch: 2, generation, state: 'Started' }]);
  expect(ahead).toEqual([{ task: scene.id, epoch: 2 }]);
  await scene.start();
  expect((await scene.restart([scene.item('Started')])).ahead).toEqual([]);
});
