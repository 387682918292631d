import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect } from 'vitest';
import type { Runner, RunnerSpec } from '@outrider/kinds';
import { protocolVersion, type SessionRequest, type TaskResult } from '@outrider/protocol';
import { createCacheStore, type CacheStore } from '../kube/cache-store.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { NewTask } from '../ledger/records.ts';
import { openSqliteLedger } from '../ledger/sqlite/open.ts';
import type { LogStore } from '../logs/contract.ts';
import { openSqliteLogStore } from '../logs/open.ts';
import { openRecoveryMode, type RecoveryMode } from '../recovery/mode.ts';
import { aNewRun, aTaskRecord, start } from '../testing/builders.ts';
import { Board } from './board.ts';
import type { AuthenticatedRunner, Dispatch } from './contract.ts';
import { createDispatch } from './dispatch.ts';
import { createExplain, type Explain } from './explain.ts';
import { Matcher } from './offers.ts';
import { Sessions } from './sessions.ts';
import { startSweeper } from './sweeper.ts';
import { defaultTimes } from './times.ts';

/** The production dispatcher over the production ledger and log store, with an injected clock. */
export interface Bench {
  readonly recovery: RecoveryMode;
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly dispatch: Dispatch;
  readonly runners: CacheStore<Runner>;
  readonly explain: Explain;
  sweep(): Promise<void>;
  now: number;
}

let folder = '';
export let bench: Bench;
export const times = defaultTimes;
export const graceMs = times.unknownGraceMs;
const errors: unknown[] = [];

/** Opens one before each test of the calling file, and closes it after. */
export const useBench = (): void => {
  beforeEach(openBench);
  afterEach(closeBench);
};

const openBench = async (): Promise<void> => {
  folder = await mkdtemp(join(tmpdir(), 'dispatch-'));
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  const logs = await openSqliteLogStore({ dir: join(folder, 'logs') });
  const runners = createCacheStore<Runner>((error) => errors.push(error));
  let clock = (): number => start;
  const now = (): number => clock();
  const board = new Board({ now });
  const recovery = await openRecoveryMode({ ledger, apply: (tasks) => board.apply(tasks), now });
  const paused = (): boolean => recovery.active;
  const sessions = new Sessions({ runners, onlineMs: times.onlineMs, now });
  const onError = (error: unknown): void => void errors.push(error);
  const matcher = new Matcher({ board, sessions, ledger, offerMs: times.offerMs, paused, now, onError });
  const dispatch = createDispatch({
    ledger,
    logs,
    board,
    sessions,
    matcher,
    times,
    recovery,
    now,
    random: () => 0.5,
  });
  const sweeper = startSweeper({ ledger, logs, board, times, paused, now, onError });
  sweeper.stop();
  const explain = createExplain({ sessions, board, recovering: paused, now });
  const sweep = (): Promise<void> => sweeper.sweep();
  bench = { recovery, ledger, logs, board, sessions, dispatch, runners, explain, sweep, now: start };
  clock = () => bench.now;
};

const closeBench = async (): Promise<void> => {
  await bench.ledger.close();
  await bench.logs.close();
  await rm(folder, { recursive: true });
  expect(errors.splice(0)).toEqual([]);
};

let version = 0;
export const addRunner = (name: string, spec: RunnerSpec = {}): AuthenticatedRunner => {
  bench.runners.set({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Runner',
    metadata: {
      name,
      namespace: 'payments',
      uid: name,
      resourceVersion: `${++version}`,
      generation: 1,
      creationTimestamp: '2026-11-22T12:00:00Z',
    },
    spec,
  });
  return { clientId: `key-${name}`, namespace: 'payments', name, local: false };
};

const hello = (over: Partial<SessionRequest> = {}): SessionRequest => ({
  protocolVersion,
  version: '0.1.0',
  startedAt: '2026-11-22T12:00:00.000Z',
  capacity: 2,
  nodes: ['ssh-exec', 'kubectl-exec', 'local-exec'],
  inventory: [],
  ...over,
});

export const live: AbortSignal = new AbortController().signal;

/** A runner as far as the operator sees it. */
export const connect = async (runner: AuthenticatedRunner, over: Partial<SessionRequest> = {}) => {
  const opened = await bench.dispatch.openSession(runner, hello(over));
  const envelope = { session: opened.session, generation: opened.generation };
  return {
    ...opened,
    envelope,
    poll: (held: { task: string; epoch: number }[] = [], signal = live) =>
      bench.dispatch.poll(
        runner,
        { ...envelope, capacity: 2, load: held.length, held, now: new Date(bench.now).toISOString() },
        signal,
      ),
    accept: (...attempts: { task: string; epoch: number }[]) =>
      bench.dispatch.accept(runner, { ...envelope, attempts }),
    started: (ref: { task: string; epoch: number }) =>
      bench.dispatch.report(runner, { ...envelope, reports: [{ ...ref, kind: 'Started' }] }),
    result: (ref: { task: string; epoch: number }, result: TaskResult = success) =>
      bench.dispatch.report(runner, { ...envelope, reports: [{ ...ref, kind: 'Result', result }] }),
  };
};

const success: TaskResult = {
  outcome: 'Succeeded',
  exitCode: 0,
  startedAt: '2026-11-22T12:00:01.000Z',
  finishedAt: '2026-11-22T12:00:02.000Z',
  log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
};

export const aTask = (id: string, over: Partial<NewTask> = {}): NewTask => {
  const { spec } = aTaskRecord();
  return { id, stepIndex: 0, target: id, spec, tags: [], local: false, ...over };
};

/** Makes tasks Ready, as the planner does. */
export const ready = async (...tasks: NewTask[]): Promise<void> => {
  await bench.ledger.createRun({ run: aNewRun(), tasks });
  const known = await bench.ledger.readRun(aNewRun().uid);
  const transitions = tasks.map((task) => ({
    task: task.id,
    from: 'Pending' as const,
    to: 'Ready' as const,
    queueDeadline: bench.now + 3_600_000,
  }));
  const { tasks: changed } = await bench.ledger.applyPlan(
    { runUid: aNewRun().uid, revision: known?.run.revision ?? 0, transitions },
    bench.now,
  );
  bench.board.apply(changed);
};

export const stateOf = async (id: string) => (await bench.ledger.readTask(id))?.state;
export const ref = (offer: { task: string; epoch: number } | undefined) => {
  if (!offer) throw new Error('nothing was offered');
  return { task: offer.task, epoch: offer.epoch };
};

export const running = async (name = 'r1', over: Partial<NewTask> = {}) => {
  const identity = addRunner(name);
  const runner = await connect(identity);
  const poll = runner.poll();
  await ready(aTask('t1', over));
  const offer = ref((await poll).offers[0]);
  await runner.accept(offer);
  await runner.started(offer);
  return { identity, runner, offer };
};
