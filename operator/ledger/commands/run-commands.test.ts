import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newRun, newTask } from '../invariants/builders.ts';
import type { Ledger } from '../ledger.ts';
import { openTestLedger, type TestLedger } from '../suite/engine.ts';

let opened: TestLedger;
let ledger: Ledger;
beforeAll(async () => {
  opened = await openTestLedger();
  ({ ledger } = opened);
});
afterAll(() => opened.end());

describe('createRun', () => {
  test('freezes a run with all tasks Pending, and knows it by its uid afterwards', async () => {
    const run = newRun('fresh', 1000);
    const tasks = [newTask('fresh-b', 'fresh', 1), newTask('fresh-a', 'fresh', 0)];
    expect((await ledger.createRun({ run, tasks })).outcome).toBe('Created');
    const again = await ledger.createRun({ run: { ...run, requestedBy: 'mallory' }, tasks: [] });
    expect(again).toMatchObject({ outcome: 'Exists', run: { requestedBy: 'alice', revision: 1 } });
    const found = await ledger.readRun('fresh');
    expect(found?.tasks.map(({ id, state, epoch, target }) => [id, state, epoch, target])).toEqual([
      ['fresh-a', 'Pending', 0, 'web-0'],
      ['fresh-b', 'Pending', 0, 'web-1'],
    ]);
    expect(await ledger.readTask('fresh-a')).toEqual(found?.tasks[0]);
  });

  test('does not run the same namespace, name and spec again under another uid', async () => {
    const run = newRun('original', 1000);
    await ledger.createRun({ run, tasks: [] });
    const twin = { ...run, uid: 'recreated' };
    expect(await ledger.createRun({ run: twin, tasks: [] })).toMatchObject({
      outcome: 'AlreadyRan',
      run: { uid: 'original' },
    });
    expect(await ledger.readRun('recreated')).toBeUndefined();
    const changed = { ...twin, specDigest: 'another' };
    expect((await ledger.createRun({ run: changed, tasks: [] })).outcome).toBe('Created');
  });

  test('takes 10,000 tasks in one run, and a plan for all of them', { timeout: 60_000 }, async () => {
    const tasks = Array.from({ length: 10_000 }, (_, index) => newTask(`big-${index}`, 'big', index));
    await ledger.createRun({ run: newRun('big', 1000), tasks });
    const transitions = tasks.map(({ id }) => ({ task: id, from: 'Pending', to: 'Skipped' }) as const);
    const planned = await ledger.applyPlan(
      {
        runUid: 'big',
        revision: 1,
        transitions,
        finish: { state: 'Succeeded', reason: 'Succeeded', message: '' },
      },
      2000,
    );
    expect(planned.applied).toBe(true);
    expect(planned.tasks.filter(({ state }) => state === 'Skipped').length).toBe(10_000);
    expect(planned.run).toMatchObject({ state: 'Succeeded', finishedAt: 2000 });
  });
});

describe('applyPlan', () => {
  test('refuses a plan for an older revision and changes nothing', async () => {
    await ledger.createRun({ run: newRun('stale', 1000), tasks: [newTask('stale-1', 'stale', 0)] });
    await ledger.requestCancel('stale', 1500);
    const plan = {
      runUid: 'stale',
      revision: 1,
      transitions: [{ task: 'stale-1', from: 'Pending', to: 'Ready' }],
    } as const;
    const refused = await ledger.applyPlan(plan, 2000);
    expect(refused).toMatchObject({ applied: false, run: { revision: 2, cancelRequested: true } });
    expect(refused.tasks).toEqual([]);
    expect(await ledger.applyPlan({ ...plan, revision: 2 }, 2000)).toMatchObject({
      applied: true,
      run: { revision: 3 },
    });
  });

  test('gives a task the queue time of an hour when the plan names none', async () => {
    await ledger.createRun({ run: newRun('queue', 1000), tasks: [newTask('queue-1', 'queue', 0)] });
    const planned = await ledger.applyPlan(
      { runUid: 'queue', revision: 1, transitions: [{ task: 'queue-1', from: 'Pending', to: 'Ready' }] },
      2000,
    );
    expect(planned.tasks[0]).toMatchObject({ state: 'Ready', readyAt: 2000, queueDeadline: 3_602_000 });
  });

  test('applies nothing of a plan with one transition that does not fit', async () => {
    await ledger.createRun({
      run: newRun('mixed', 1000),
      tasks: [newTask('mixed-1', 'mixed', 0), newTask('mixed-2', 'mixed', 1)],
    });
    const transitions = [
      { task: 'mixed-1', from: 'Pending', to: 'Ready' },
      { task: 'mixed-2', from: 'Ready', to: 'Skipped' },
    ] as const;
    await expect(ledger.applyPlan({ runUid: 'mixed', revision: 1, transitions }, 2000)).rejects.toMatchObject(
      {
        code: 'StateMismatch',
        message: 'Not every task that the plan takes from Ready to Skipped is Ready in run mixed.',
        action: 'Nothing of the plan was applied: read the run and plan anew.',
      },
    );
    expect((await ledger.readRun('mixed'))?.tasks.map(({ state }) => state)).toEqual(['Pending', 'Pending']);
  });

  test('does not finish a run with a task that is not final', async () => {
    await ledger.createRun({ run: newRun('early', 1000), tasks: [newTask('early-1', 'early', 0)] });
    const finish = { state: 'Failed', reason: 'StepFailed', message: '' } as const;
    await expect(
      ledger.applyPlan({ runUid: 'early', revision: 1, transitions: [], finish }, 2000),
    ).rejects.toMatchObject({
      message: 'Run early cannot finish: task early-1 is not final.',
    });
  });
});

describe('listRuns', () => {
  test('lists the newest first, by namespace and workflow, page by page', async () => {
    const run = (uid: string, at: number, namespace: string) => newRun(uid, at, { namespace, name: uid });
    for (const [index, uid] of ['page-1', 'page-2', 'page-3'].entries()) {
      await ledger.createRun({ run: run(uid, 5000 + index, 'team-pages'), tasks: [] });
    }
    const query = { namespace: 'team-pages', workflow: 'restart-web', limit: 2 };
    const first = await ledger.listRuns(query);
    expect(first.map(({ uid }) => uid)).toEqual(['page-3', 'page-2']);
    expect((await ledger.listRuns({ ...query, before: 5001 })).map(({ uid }) => uid)).toEqual(['page-1']);
    expect(await ledger.listRuns({ ...query, workflow: 'other' })).toEqual([]);
    expect((await ledger.openRuns()).map(({ run: open }) => open.uid)).toContain('page-1');
  });
});

describe('prune', () => {
  test('removes a finished run at its retention and its tombstone after 30 days', async () => {
    const run = newRun('old', 1000);
    await ledger.createRun({ run, tasks: [newTask('old-1', 'old', 0)] });
    await ledger.applyPlan(
      {
        runUid: 'old',
        revision: 1,
        transitions: [{ task: 'old-1', from: 'Pending', to: 'Skipped' }],
        finish: { state: 'Succeeded', reason: 'Succeeded', message: '' },
      },
      1500,
    );
    const day = 86_400_000;
    expect(await ledger.prune({ now: 2 * day, runsOlderThan: 1501 })).toEqual({ runs: 1 });
    expect(await ledger.readRun('old')).toBeUndefined();
    expect(await ledger.readTask('old-1')).toBeUndefined();
    const twin = { ...run, uid: 'old-again' };
    expect((await ledger.createRun({ run: twin, tasks: [] })).outcome).toBe('AlreadyRan');
    expect(await ledger.prune({ now: 31 * day, runsOlderThan: 1501 })).toEqual({ runs: 0 });
    expect((await ledger.createRun({ run: twin, tasks: [] })).outcome).toBe('Created');
  });
});
