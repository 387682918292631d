import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Runner, Target, Workflow, WorkflowRun } from '@outrider/kinds';
import { Board } from '../dispatch/board.ts';
import { createExplain } from '../dispatch/explain.ts';
import { Sessions } from '../dispatch/sessions.ts';
import { createCacheStore } from '../kube/cache-store.ts';
import type { WorkQueue } from '../kube/contract.ts';
import { createWorkQueue } from '../kube/work-queue.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import { aRun, aWorkflow, start } from '../testing/builders.ts';
import { createRunReconciler, watchRuns, type RunsOptions } from './reconciler.ts';

let folder = '';
let ledger: Ledger;
let queue: WorkQueue;
const errors: unknown[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runs-'));
  ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
});
afterEach(async () => {
  await queue.stop();
  await ledger.close();
  await rm(folder, { recursive: true });
  expect(errors.splice(0)).toEqual([]);
});

/** Follows the caches as the operator does, over the production ledger, queue and board. */
const follow = () => {
  const onError = (error: unknown): void => void errors.push(error);
  const runs = createCacheStore<WorkflowRun>(onError);
  const workflows = createCacheStore<Workflow>(onError);
  const synced = Promise.resolve();
  const now = (): number => start;
  const recovering = (): boolean => false;
  const board = new Board();
  const sessions = new Sessions({ runners: createCacheStore<Runner>(onError), onlineMs: 45_000, now });
  const options: RunsOptions = {
    runs: { ...runs, synced },
    workflows: { ...workflows, synced },
    targets: { ...createCacheStore<Target>(onError), synced },
    ledger,
    board,
    explain: createExplain({ sessions, board, recovering, now }),
    recovering,
    status: { want: () => undefined, flush: () => synced, stop: () => synced },
    events: { record: () => undefined },
    now,
    queueTimeoutMs: 3_600_000,
  };
  const reconciler = createRunReconciler(options);
  queue = createWorkQueue({ reconcile: reconciler.reconcile, onError: (_, error) => onError(error) });
  reconciler.attach(queue);
  watchRuns(options, queue);
  workflows.set(aWorkflow());
  return { runs };
};

const stateOf = async (uid: string) => (await ledger.readRun(uid))?.run.state;

/** The same name and generation, as a run that was deleted and made again. */
const madeAgain = (uid: string): WorkflowRun => {
  const run = aRun({ spec: { workflowRef: { name: 'restart' }, requestedBy: `user of ${uid}` } });
  return { ...run, metadata: { ...run.metadata, uid, resourceVersion: uid } };
};

test('a run that replaced another of its name while nobody watched starts, and the other is cancelled', async () => {
  const { runs } = follow();
  runs.replace([madeAgain('first')]);
  await expect.poll(() => stateOf('first')).toBe('Running');
  runs.replace([madeAgain('second')]);
  await expect.poll(() => stateOf('first')).toBe('Cancelled');
  await expect.poll(() => stateOf('second')).toBe('Running');
});

test('a run whose object is deleted while it waits for a runner is cancelled', async () => {
  const { runs } = follow();
  const run = madeAgain('first');
  runs.set(run);
  await expect.poll(() => stateOf('first')).toBe('Running');
  runs.remove(run);
  await expect.poll(() => stateOf('first')).toBe('Cancelled');
});

test('a run whose object is deleted in the moment in which it starts is cancelled', async () => {
  const { runs } = follow();
  const run = madeAgain('first');
  const createRun = ledger.createRun.bind(ledger);
  ledger.createRun = (command) => {
    const created = createRun(command);
    runs.remove(run);
    return created;
  };
  runs.set(run);
  await expect.poll(() => stateOf('first')).toBe('Cancelled');
});

test('a run that is Paused begins nothing, and goes on when it is Running again', async () => {
  const { runs } = follow();
  const run = madeAgain('first');
  const desired = (desiredState: 'Paused' | 'Running', generation: number): WorkflowRun => ({
    ...run,
    metadata: { ...run.metadata, generation, resourceVersion: String(generation) },
    spec: { ...run.spec, desiredState },
  });
  const taskState = async () => (await ledger.readRun('first'))?.tasks[0]?.state;
  runs.set(desired('Paused', 1));
  await expect.poll(taskState).toBe('Blocked');
  runs.set(desired('Running', 2));
  await expect.poll(taskState).toBe('Ready');
  runs.set(desired('Paused', 3));
  await expect.poll(taskState).toBe('Blocked');
});

test('after its first look a run is read for what has changed only', async () => {
  const { runs } = follow();
  let whole = 0;
  const readRun = ledger.readRun.bind(ledger);
  ledger.readRun = (uid) => {
    whole += 1;
    return readRun(uid);
  };
  const run = madeAgain('first');
  runs.set(run);
  await expect.poll(async () => (await readRun('first'))?.tasks[0]?.state).toBe('Ready');
  const read = whole;
  const asOf = (generation: number): WorkflowRun => ({
    ...run,
    metadata: { ...run.metadata, generation, resourceVersion: String(generation) },
    spec: { ...run.spec, desiredState: generation % 2 === 0 ? 'Paused' : 'Running' },
  });
  for (const generation of [2, 3, 4]) {
    runs.set(asOf(generation));
    const state = generation % 2 === 0 ? 'Blocked' : 'Ready';
    await expect.poll(async () => (await readRun('first'))?.tasks[0]?.state).toBe(state);
  }
  expect(whole).toBe(read);
});
