import type { InventoryItem, Report } from '@outrider/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { newRun, newTask, result } from '../invariants/builders.ts';
import type { Ledger, Speaker } from '../ledger.ts';
import { openTestLedger, type TestLedger } from '../suite/engine.ts';

const now = Date.UTC(2026, 10, 22, 12);
const leaseExpiresAt = now + 90_000;
const graceMs = 900_000;

let opened: TestLedger;
let ledger: Ledger;
let count = 0;
let task: string;
let run: string;
let by: Speaker;
beforeAll(async () => {
  opened = await openTestLedger();
  ({ ledger } = opened);
});
afterAll(() => opened.end());

beforeEach(async () => {
  count += 1;
  run = `run-${count}`;
  task = `task-${count}`;
  by = { clientId: `key-${count}`, runnerName: 'dc1', session: `session-${count}` };
  await ledger.createRun({ run: newRun(run, now), tasks: [newTask(task, run, 0)] });
  await ledger.applyPlan(
    { runUid: run, revision: 1, transitions: [{ task, from: 'Pending', to: 'Ready' }] },
    now,
  );
  await ledger.openSession({ by, inventory: [], now, leaseExpiresAt });
});

const ref = () => ({ task, epoch: 1 });
const offer = (to = by, epoch = 0) =>
  ledger.offerTasks({ to, tasks: [{ task, epoch }], now, expiresAt: now + 10_000 });
const accept = (at = now, speaker = by) =>
  ledger.acceptAttempts({ by: speaker, attempts: [ref()], now: at, leaseExpiresAt });
const report = async (content: Pick<Report, 'kind' | 'result'>, speaker = by) => {
  const { answers } = await ledger.recordReports({ by: speaker, reports: [{ ...ref(), ...content }], now });
  return answers[0];
};
const item = (state: InventoryItem['state']): InventoryItem => ({
  ...ref(),
  generation: ledger.generation,
  state,
});
const stored = async () => {
  const found = await ledger.readTask(task);
  if (found === undefined) throw new Error(`${task} is gone`);
  return found;
};
const claim = async (): Promise<void> => {
  await offer();
  await accept();
};
const start = async (): Promise<void> => {
  await claim();
  await report({ kind: 'Started' });
};
const restart = (inventory: readonly InventoryItem[]) => {
  by = { ...by, session: `${by.session}-again` };
  return ledger.openSession({ by, inventory, now, leaseExpiresAt: leaseExpiresAt + 1 });
};

describe('accept', () => {
  test('may be repeated after a lost answer', async () => {
    await offer();
    expect((await accept()).answers).toEqual([{ ...ref(), status: 'Recorded' }]);
    expect((await accept()).answers).toEqual([{ ...ref(), status: 'Duplicate' }]);
    expect(await stored()).toMatchObject({
      state: 'Claimed',
      epoch: 1,
      runner: by.clientId,
      leaseExpiresAt,
      claimedAt: now,
    });
  });

  test('is refused at the very moment at which the offer expires', async () => {
    await offer();
    expect((await accept(now + 10_000)).answers[0]).toMatchObject({
      status: 'Refused',
      error: {
        code: 'OfferExpired',
        message: `The offer of epoch 1 of task ${task} expired before it was accepted.`,
        action: 'Do not start it; if it runs, kill it and forget it.',
      },
    });
    await ledger.expire({ now: now + 10_000, graceMs });
    expect((await accept(now)).answers[0]?.error?.code).toBe('OfferExpired');
  });

  test('is refused once the run is cancelled, for another runner, and for a superseded session', async () => {
    await offer();
    const former = by;
    const other = { clientId: `other-${count}`, runnerName: 'dc2', session: `other-${count}` };
    await ledger.openSession({ by: other, inventory: [], now, leaseExpiresAt });
    expect((await accept(now, other)).answers[0]?.error?.code).toBe('EpochMismatch');
    await ledger.requestCancel(run, now);
    expect((await accept()).answers[0]?.error?.code).toBe('Cancelled');
    await restart([]);
    expect((await accept(now, former)).answers[0]?.error?.code).toBe('SessionSuperseded');
    expect((await accept(now, { ...by, session: 'never-opened' })).answers[0]?.error?.code).toBe(
      'SessionUnknown',
    );
  });
});

describe('results', () => {
  test('are recorded exactly once by their digest, whatever the order of their keys', async () => {
    await start();
    const told = result('Succeeded', { outputs: { a: 1, b: 2 } });
    expect(await report({ kind: 'Result', result: told })).toEqual({ ...ref(), status: 'Recorded' });
    const sameOtherwiseWritten = result('Succeeded', { outputs: { b: 2, a: 1 } });
    expect(await report({ kind: 'Result', result: sameOtherwiseWritten })).toEqual({
      ...ref(),
      status: 'Duplicate',
    });
    expect(await report({ kind: 'Result', result: result('Failed') })).toMatchObject({
      status: 'Refused',
      error: {
        code: 'result_conflict',
        message: `Another result of epoch 1 of task ${task} is recorded, and a result never changes.`,
      },
    });
    expect(await stored()).toMatchObject({ state: 'Succeeded', result: told, finishedAt: now });
  });

  test('that come when the task is Lost are evidence, and change nothing', async () => {
    await start();
    await ledger.expire({ now: leaseExpiresAt, graceMs });
    expect(await stored()).toMatchObject({
      state: 'Unknown',
      reason: 'LeaseExpired',
      unknownSince: leaseExpiresAt,
    });
    await ledger.expire({ now: leaseExpiresAt + graceMs, graceMs });
    const lost = await stored();
    expect(lost).toMatchObject({
      state: 'Lost',
      reason: 'Lost',
      message:
        'Runner dc1 has held this since 2026-11-22T12:00:00.000Z and has not been heard of since 2026-11-22T12:01:30.000Z; ' +
        "it started at 2026-11-22T12:00:00.000Z and nobody knows how it ended. Check web-0 and the runner's journal, " +
        'then start a new run if the work is not done.',
    });
    expect(await report({ kind: 'Result', result: result('Succeeded') })).toEqual({
      ...ref(),
      status: 'Recorded',
    });
    expect(await report({ kind: 'Result', result: result('Succeeded') })).toEqual({
      ...ref(),
      status: 'Duplicate',
    });
    expect(await stored()).toEqual(lost);
    expect(await ledger.listAudit({ limit: 10, object: `WorkflowRun/team-a/${run}` })).toMatchObject([
      { action: 'LateResult', actor: 'runner/dc1', details: { task, epoch: 1, state: 'Lost' } },
    ]);
  });

  test('of an attempt that was never accepted are refused', async () => {
    await offer();
    expect(await report({ kind: 'Result', result: result('Succeeded') })).toMatchObject({
      status: 'Refused',
      error: { code: 'StateMismatch', message: `Epoch 1 of task ${task} cannot be finished: it is Offered.` },
    });
  });
});

describe('a release', () => {
  test('lets the task be offered again, at the next epoch', async () => {
    await claim();
    expect(await report({ kind: 'Released' })).toMatchObject({ status: 'Recorded' });
    expect(await report({ kind: 'Released' })).toMatchObject({ status: 'Duplicate' });
    expect(await stored()).toMatchObject({ state: 'Ready', epoch: 1, claimedAt: null, leaseExpiresAt: null });
    expect((await offer(by, 1)).tasks[0]).toMatchObject({ state: 'Offered', epoch: 2 });
  });

  test('ends a task of a cancelled run', async () => {
    await claim();
    await ledger.requestCancel(run, now);
    await report({ kind: 'Released' });
    expect(await stored()).toMatchObject({
      state: 'Cancelled',
      reason: 'Cancelled',
      message: 'Cancelled before runner dc1 started it.',
    });
  });

  test('is refused after the start', async () => {
    await start();
    expect((await report({ kind: 'Released' }))?.error?.code).toBe('StateMismatch');
    expect((await stored()).state).toBe('Running');
  });
});

describe('a new session', () => {
  test('goes on with what its journal lists', async () => {
    await start();
    await ledger.markUnknown({ attempts: [ref()], now, reason: 'NotHeld' });
    const { answers, tasks } = await restart([item('Started')]);
    expect(answers).toEqual([{ ...ref(), decision: 'Continue', logOffset: 0 }]);
    expect(tasks).toMatchObject([
      { id: task, state: 'Running', session: by.session, unknownSince: null, reason: null },
    ]);
  });

  test('makes Unknown what its journal does not list, and Ready what it never accepted', async () => {
    await start();
    expect((await restart([])).tasks).toMatchObject([{ id: task, state: 'Unknown', reason: 'NotInJournal' }]);
    const second = `${task}-second`;
    await ledger.createRun({ run: newRun(second, now), tasks: [newTask(second, second, 0)] });
    await ledger.applyPlan(
      { runUid: second, revision: 1, transitions: [{ task: second, from: 'Pending', to: 'Ready' }] },
      now,
    );
    await ledger.offerTasks({ to: by, tasks: [{ task: second, epoch: 0 }], now, expiresAt: now + 10_000 });
    expect((await restart([])).tasks).toMatchObject([{ id: second, state: 'Ready', epoch: 1 }]);
  });

  test('abandons what is another ledger’s, what is over, and what a restored journal would start again', async () => {
    await start();
    const foreign = await restart([{ ...item('Started'), generation: 'another' }]);
    expect(foreign.answers[0]).toMatchObject({ decision: 'Abandon', error: { code: 'GenerationMismatch' } });
    const restored = await restart([item('Accepted')]);
    expect(restored.answers[0]).toMatchObject({ decision: 'Abandon', error: { code: 'StateMismatch' } });
    expect((await stored()).state).toBe('Unknown');
    await report({ kind: 'Result', result: result('Failed') });
    expect((await restart([item('Started')])).answers[0]?.decision).toBe('Abandon');
    expect((await restart([item('Finished')])).answers[0]?.decision).toBe('Continue');
  });

  test('cannot take a session id that was superseded', async () => {
    const former = by;
    await restart([]);
    await expect(
      ledger.openSession({ by: former, inventory: [], now, leaseExpiresAt }),
    ).rejects.toMatchObject({
      code: 'SessionSuperseded',
    });
    await expect(offer(former)).rejects.toMatchObject({ code: 'SessionSuperseded' });
  });
});

describe('a lease', () => {
  test('is extended for its holder only, without a new revision', async () => {
    await start();
    const before = (await ledger.readRun(run))?.run.revision;
    const stranger = { task: 'no-such-task', epoch: 1 };
    const renewed = await ledger.renewLeases({
      by,
      attempts: [ref(), stranger],
      leaseExpiresAt: leaseExpiresAt + 5,
    });
    expect(renewed).toMatchObject({
      tasks: [{ id: task, leaseExpiresAt: leaseExpiresAt + 5 }],
      lost: [stranger],
    });
    expect((await ledger.readRun(run))?.run.revision).toBe(before);
  });

  test('comes back from Unknown when its holder lists the attempt again', async () => {
    await start();
    await ledger.expire({ now: leaseExpiresAt, graceMs });
    const renewed = await ledger.renewLeases({
      by,
      attempts: [ref()],
      leaseExpiresAt: leaseExpiresAt + 90_000,
    });
    expect(renewed).toMatchObject({ tasks: [{ state: 'Running', unknownSince: null }], lost: [] });
  });
});

test('a task that nobody takes fails with the tags that were asked for', async () => {
  await ledger.expire({ now: now + 3_600_000, graceMs });
  expect(await stored()).toMatchObject({
    state: 'Failed',
    reason: 'QueueTimeout',
    message:
      'No runner took it from 2026-11-22T12:00:00.000Z to 2026-11-22T13:00:00.000Z. ' +
      'Start or free a runner with the tags ssh, then start a new run.',
  });
});
