import type { OnLost, TaskResult } from '@outrider/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newTask, result } from '../invariants/builders.ts';
import type { NewTask } from '../records.ts';
import { openScene, type Scene } from '../suite/scene.ts';

const minute = 60_000;
const graceMs = 15 * minute;
const verify = { ...newTask('any', 'any', 0).spec, input: { script: 'test -f /done' }, timeoutMs: minute };

let scene: Scene;
beforeAll(async () => {
  scene = await openScene();
});
afterAll(() => scene.end());

/** A task that runs and whose lease has ended: Unknown. */
const lose = async (onLost: OnLost, over: Partial<NewTask> = {}): Promise<void> => {
  const { spec } = newTask('any', 'any', 0);
  await scene.begin({ spec: { ...spec, onLost }, ...over });
  await scene.start();
  await scene.pass(90_000);
  expect(await scene.task()).toMatchObject({ state: 'Unknown', reason: 'LeaseExpired' });
};

describe('under Fail', () => {
  test('what is not heard of for the grace is Lost, of unconfirmed end', async () => {
    await lose('Fail');
    await scene.pass(graceMs - 1);
    expect(await scene.task()).toMatchObject({ state: 'Unknown' });
    await scene.pass(1);
    expect(await scene.task()).toMatchObject({ state: 'Lost', reason: 'Lost', unconfirmed: 1, epoch: 1 });
  });
});

describe('under Retry', () => {
  const retry = { limit: 2, delayMs: 10_000 };

  test('it is Ready again once the runner has killed its own work, after a back-off', async () => {
    await lose('Retry', { retry });
    await scene.pass(29_999);
    expect(await scene.task()).toMatchObject({ state: 'Unknown' });
    await scene.pass(1);
    const now = scene.now;
    expect(await scene.task()).toMatchObject({
      state: 'Ready',
      epoch: 1,
      retriesLeft: 1,
      notBefore: now + 10_000,
      queueDeadline: now + 10_000 + 3_600_000,
      reason: 'Retrying',
      message: `Attempt 1 was lost with runner dc1. The next attempt starts at ${new Date(now + 10_000).toISOString()} at the earliest; 1 retry is left after it.`,
      unconfirmed: 1,
    });
    const { waiting } = await scene.offer();
    expect(waiting).toEqual([{ task: scene.id, reason: 'BackOff', retryAt: now + 10_000 }]);
    scene.now += 10_000;
    expect((await scene.offer()).tasks[0]).toMatchObject({ state: 'Offered', epoch: 2 });
  });

  test('a runner that was given up before the end of its lease has the whole lease, and the grace, to kill', async () => {
    const { spec } = newTask('any', 'any', 0);
    await scene.begin({ spec: { ...spec, onLost: 'Retry' }, retry });
    await scene.start();
    await scene.ledger.markUnknown({ attempts: [scene.ref()], now: scene.now, reason: 'NotHeld' });
    await scene.pass(90_000 + 29_999);
    expect(await scene.task()).toMatchObject({ state: 'Unknown' });
    await scene.pass(1);
    expect(await scene.task()).toMatchObject({ state: 'Ready' });
  });

  test('the true result is taken for as long as the policy has not acted, and is evidence afterwards', async () => {
    await lose('Retry', { retry });
    expect(await scene.tell('Succeeded')).toMatchObject({ status: 'Recorded' });
    expect(await scene.task()).toMatchObject({ state: 'Succeeded', retriesLeft: 2, unconfirmed: 0 });

    await lose('Retry', { retry });
    await scene.pass(30_000);
    expect(await scene.tell('Succeeded')).toMatchObject({ status: 'Recorded' });
    expect(await scene.task()).toMatchObject({ state: 'Ready', result: null });
    const [entry] = await scene.ledger.listAudit({ limit: 1 });
    expect(entry).toMatchObject({ action: 'LateResult', details: { task: scene.id, epoch: 1 } });
  });

  test('without retries left, or in a cancelled run, it is Lost after the grace', async () => {
    await lose('Retry');
    await scene.pass(graceMs);
    expect(await scene.task()).toMatchObject({ state: 'Lost' });

    await lose('Retry', { retry });
    await scene.ledger.requestCancel(scene.run, scene.now);
    await scene.pass(30_000);
    expect(await scene.task()).toMatchObject({ state: 'Unknown' });
    await scene.pass(graceMs);
    expect(await scene.task()).toMatchObject({ state: 'Lost' });
  });

  test('the third process that dies with it fails it as Poisoned', async () => {
    await lose('Retry', { retry: { limit: 10, delayMs: 0 } });
    for (const epoch of [2, 3]) {
      await scene.pass(30_000);
      expect(await scene.task()).toMatchObject({ state: 'Ready', crashes: epoch - 1 });
      await scene.start(`other-${epoch}`);
      await scene.pass(90_000);
    }
    await scene.pass(30_000);
    expect(await scene.task()).toMatchObject({ state: 'Failed', reason: 'Poisoned', crashes: 3 });
    expect((await scene.task()).message).toMatch(
      /^3 processes of runners died while they held it, runner other-3/,
    );
  });
});

describe('under Ask', () => {
  test('a person is asked after the grace, told how to answer, and has seven days', async () => {
    await lose('Ask');
    await scene.pass(graceMs);
    const asked = await scene.task();
    expect(asked).toMatchObject({
      state: 'AwaitingHuman',
      reason: 'AwaitingHuman',
      deadline: scene.now + 7 * 24 * 60 * minute,
      epoch: 1,
    });
    expect(asked.message).toContain(
      `outrider decide ${asked.spec.run} restart -n team-a --target web-0 --attempt 1 --succeeded|--failed|--retry --reason TEXT`,
    );
    await scene.pass(7 * 24 * 60 * minute);
    expect(await scene.task()).toMatchObject({ state: 'Lost', unconfirmed: 1 });
  });

  test.each([
    ['Succeeded', { state: 'Succeeded', reason: 'Decided', result: null }],
    ['Failed', { state: 'Failed', reason: 'Decided' }],
    ['Retry', { state: 'Ready', epoch: 1, reason: 'Decided', unconfirmed: 1 }],
  ] as const)('the decision %s is applied once', async (decision, expected) => {
    await lose('Ask');
    await scene.pass(graceMs);
    expect((await scene.decide({ decision })).problem).toBeUndefined();
    expect(await scene.task()).toMatchObject(expected);
    expect((await scene.task()).message).toBe('bob decided about attempt 1: I looked');
    const revision = await scene.revision();
    expect(await scene.decide({ decision })).toEqual({ tasks: [] });
    expect(await scene.revision()).toBe(revision);
  });

  test('a decision about another attempt, another state or no step is refused, and stays refused', async () => {
    await lose('Ask');
    expect((await scene.decide({ decision: 'Failed', uid: 'early' })).problem).toMatchObject({
      code: 'StateMismatch',
      message: 'Attempt 1 of step restart on target web-0 waits for no decision: it is Unknown.',
    });
    await scene.pass(graceMs);
    expect((await scene.decide({ decision: 'Failed', uid: 'early' })).problem?.code).toBe('StateMismatch');
    expect((await scene.decide({ decision: 'Failed', uid: 'other', epoch: 2 })).problem).toMatchObject({
      code: 'EpochMismatch',
      message: 'The decision is about attempt 2 of step restart on target web-0, and the last one is 1.',
    });
    expect((await scene.decide({ decision: 'Failed', uid: 'none', step: 'other' })).problem).toMatchObject({
      code: 'NotFound',
      message: 'The run has no step other on target web-0.',
    });
    expect(await scene.task()).toMatchObject({ state: 'AwaitingHuman' });
  });

  test('the runner that comes back goes on, and nobody needs to decide', async () => {
    await lose('Ask');
    await scene.pass(graceMs);
    const { answers } = await scene.restart([scene.item('Started')]);
    expect(answers[0]?.decision).toBe('Continue');
    expect(await scene.task()).toMatchObject({ state: 'Running', deadline: null, reason: null });
    expect((await scene.decide({ decision: 'Failed' })).problem?.code).toBe('StateMismatch');
  });

  test('and that had not started it may hand it back, for another one', async () => {
    const { spec } = newTask('any', 'any', 0);
    await scene.begin({ spec: { ...spec, onLost: 'Ask' } });
    await scene.claim();
    await scene.pass(90_000);
    await scene.pass(graceMs);
    expect(await scene.task()).toMatchObject({ state: 'AwaitingHuman', startedAt: null });
    expect(await scene.release()).toMatchObject({ status: 'Recorded' });
    expect(await scene.task()).toMatchObject({ state: 'Ready', queueDeadline: scene.now + 3_600_000 });
  });

  test('its result is the truth for as long as nobody has decided', async () => {
    await lose('Ask');
    await scene.pass(graceMs);
    await scene.tell('Failed');
    expect(await scene.task()).toMatchObject({ state: 'Failed', deadline: null });
  });
});

describe('under Verify', () => {
  const exit = (exitCode: number): TaskResult =>
    result(exitCode === 0 ? 'Succeeded' : 'Failed', { exitCode });

  const probe = async () => {
    const found = await scene.ledger.readRun(scene.run);
    const probes = found?.tasks.filter(({ probeOf }) => probeOf === scene.id) ?? [];
    const last = probes.at(-1);
    if (last === undefined) throw new Error('there is no probe');
    return last;
  };
  const verifying = async (over: Partial<NewTask> = {}): Promise<void> => {
    await lose('Verify', { verify, ...over });
    await scene.pass(graceMs);
    expect(await scene.task()).toMatchObject({ state: 'Verifying', reason: 'Verifying', epoch: 1 });
  };

  test('a probe with the step’s tags and the verify script is Ready for any runner', async () => {
    await verifying();
    expect(await probe()).toMatchObject({
      state: 'Ready',
      epoch: 0,
      tags: ['ssh'],
      spec: { input: { script: 'test -f /done' }, timeoutMs: minute },
      target: 'web-0',
      probeOf: scene.id,
      queueDeadline: scene.now + 3_600_000,
    });
  });

  test.each([
    [0, { state: 'Succeeded', reason: 'Verified', epoch: 1 }],
    [1, { state: 'Ready', reason: 'Retrying', epoch: 1, crashes: 1 }],
    [2, { state: 'AwaitingHuman', reason: 'AwaitingHuman', epoch: 1 }],
  ])('its exit code %i means %j', async (code, expected) => {
    await verifying();
    await scene.execute(await probe(), exit(code));
    expect(await scene.task()).toMatchObject(expected);
  });

  test('a probe that no runner takes, or that is lost, asks a person', async () => {
    await verifying();
    await scene.pass(3_600_000);
    expect(await probe()).toMatchObject({ state: 'Failed', reason: 'QueueTimeout' });
    const asked = await scene.task();
    expect(asked.state).toBe('AwaitingHuman');
    expect(asked.message).toMatch(/^The verify script of attempt 1 ended Failed: No runner took it from /);

    await verifying();
    await scene.execute(await probe());
    await scene.pass(90_000);
    await scene.pass(graceMs);
    expect(await probe()).toMatchObject({ state: 'Lost' });
    expect(await scene.task()).toMatchObject({ state: 'AwaitingHuman' });
  });

  test('a result that comes while the probe waits is the truth, and the probe goes', async () => {
    await verifying();
    await scene.tell('Failed');
    expect(await scene.task()).toMatchObject({ state: 'Failed', deadline: null });
    expect(await probe()).toMatchObject({ state: 'Cancelled' });
  });

  test('a runner that comes back takes its attempt up again; a probe that runs is cancelled and says nothing', async () => {
    await verifying();
    await scene.execute(await probe());
    await scene.restart([scene.item('Started')]);
    expect(await scene.task()).toMatchObject({ state: 'Running' });
    expect(await probe()).toMatchObject({ state: 'Running', cancelRequested: true });
    await scene.finish(await probe(), exit(1));
    expect(await scene.task()).toMatchObject({ state: 'Running', epoch: 1 });
  });

  test('an operator without an answer until the deadline asks a person', async () => {
    await verifying();
    await scene.execute(await probe());
    for (let passed = 0; passed < 122 * minute; passed += minute) {
      await scene.renew(await probe());
      await scene.pass(minute);
    }
    expect(await scene.task()).toMatchObject({ state: 'AwaitingHuman' });
    expect((await scene.task()).message).toMatch(/^The verify script of attempt 1 gave no answer until /);
    expect(await probe()).toMatchObject({ cancelRequested: true });
  });
});

describe('a cancelled run', () => {
  test.each(['Verifying', 'AwaitingHuman'] as const)('ends what is %s, of unconfirmed end', async (state) => {
    await lose(state === 'Verifying' ? 'Verify' : 'Ask', state === 'Verifying' ? { verify } : {});
    await scene.pass(graceMs);
    await scene.ledger.requestCancel(scene.run, scene.now);
    expect(await scene.task()).toMatchObject({ state, cancelRequested: true });
    const transitions = [{ task: scene.id, from: state, to: 'Cancelled', reason: 'Cancelled' }] as const;
    const finish = { state: 'Cancelled', reason: 'Cancelled', message: '' } as const;
    const plan = { runUid: scene.run, revision: await scene.revision(), transitions, finish };
    const { run, tasks } = await scene.ledger.applyPlan(plan, scene.now);
    expect(run.state).toBe('Cancelled');
    expect(tasks.find(({ id }) => id === scene.id)).toMatchObject({ state: 'Cancelled', unconfirmed: 1 });
    expect(await scene.tell('Succeeded')).toMatchObject({ status: 'Recorded' });
    expect(await scene.task()).toMatchObject({ state: 'Cancelled', result: null });
  });
});
