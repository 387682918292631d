import type { AttemptAnswer, InventoryItem, Outcome, TaskResult } from '@outrider/protocol';
import { newRun, newTask, result } from '../invariants/builders.ts';
import type { Ledger, Speaker } from '../ledger.ts';
import type { AttemptRef, Decision, NewTask, TaskRecord } from '../records.ts';
import { openTestLedger } from './engine.ts';

const leaseMs = 90_000;

/** One run with one task after the other, and runners that do as they are told; the clock is its own. */
export interface Scene {
  readonly ledger: Ledger;
  /** Of the task at hand. */
  readonly id: string;
  readonly run: string;
  now: number;
  /** A new run with one Ready task, for which runner dc1 has a session. */
  begin(over?: Partial<NewTask>): Promise<void>;
  readonly task: () => Promise<TaskRecord>;
  revision(): Promise<number>;
  ref(): AttemptRef;
  item(state: InventoryItem['state'], generation?: string): InventoryItem;
  offer(options?: { namespaceLimit?: number }): ReturnType<Ledger['offerTasks']>;
  /** Offers the task at hand to a runner, which accepts and starts it. */
  start(runner?: string): Promise<void>;
  /** As `start`, without starting. */
  claim(): Promise<void>;
  /** The runner hands it back: nothing started. */
  release(): Promise<AttemptAnswer | undefined>;
  /** The runner that started it last tells how its first attempt there ended. */
  tell(outcome: Outcome, over?: Partial<TaskResult>): Promise<AttemptAnswer | undefined>;
  /** Another runner starts a task, and ends it if it is told how. */
  execute(task: TaskRecord, end?: TaskResult): Promise<void>;
  finish(task: TaskRecord, end: TaskResult): Promise<void>;
  renew(task: TaskRecord): Promise<void>;
  /** A new session of the runner that started it last; `startedAt` is another process. */
  restart(inventory: readonly InventoryItem[], startedAt?: string): ReturnType<Ledger['openSession']>;
  decide(over: {
    decision: Decision;
    uid?: string;
    epoch?: number;
    step?: string;
  }): ReturnType<Ledger['decide']>;
  /** Time passes, and the operator looks for what has run out. */
  pass(ms: number): Promise<void>;
  end(): Promise<void>;
}

export const hello = (startedAt: string) => ({
  protocolVersion: 2,
  version: '1.0.0',
  startedAt,
  capacity: 10,
  nodes: ['ssh-exec'],
});
const firstProcess = '2026-11-22T10:00:00Z';

export const openScene = async (): Promise<Scene> => {
  const opened = await openTestLedger();
  const { ledger } = opened;
  let count = 0;
  let epoch = 0;
  let by: Speaker = { clientId: '', runnerName: '', session: '' };

  const openAs = async (runner: string): Promise<Speaker> => {
    count += 1;
    const speaker = { clientId: `${scene.id}-${runner}`, runnerName: runner, session: `session-${count}` };
    await ledger.openSession({
      by: speaker,
      inventory: [],
      now: scene.now,
      leaseExpiresAt: scene.now + leaseMs,
      hello: hello(firstProcess),
    });
    return speaker;
  };
  const read = async (id: string): Promise<TaskRecord> => {
    const found = await ledger.readTask(id);
    if (found === undefined) throw new Error(`task ${id} is gone`);
    return found;
  };
  const claimAs = async (speaker: Speaker, task: TaskRecord): Promise<AttemptRef> => {
    const { now } = scene;
    const ref = { task: task.id, epoch: task.epoch + 1 };
    await ledger.offerTasks({
      to: speaker,
      tasks: [{ task: task.id, epoch: task.epoch }],
      now,
      expiresAt: now + 10_000,
    });
    await ledger.acceptAttempts({ by: speaker, attempts: [ref], now, leaseExpiresAt: now + leaseMs });
    return ref;
  };
  const startAs = async (speaker: Speaker, task: TaskRecord): Promise<AttemptRef> => {
    const ref = await claimAs(speaker, task);
    await ledger.recordReports({ by: speaker, reports: [{ ...ref, kind: 'Started' }], now: scene.now });
    return ref;
  };
  const holderOf = (task: TaskRecord): Speaker => ({
    clientId: task.runner ?? '',
    runnerName: task.runnerName ?? '',
    session: task.session ?? '',
  });

  const scene: Scene & { id: string; run: string } = {
    ledger,
    id: '',
    run: '',
    now: Date.UTC(2026, 10, 22, 12),
    begin: async (over = {}) => {
      count += 1;
      scene.run = `scene-${count}`;
      scene.id = `${scene.run}-task`;
      epoch = 0;
      await ledger.createRun({
        run: newRun(scene.run, scene.now),
        tasks: [newTask(scene.id, scene.run, 0, over)],
      });
      await ledger.applyPlan(
        { runUid: scene.run, revision: 1, transitions: [{ task: scene.id, from: 'Pending', to: 'Ready' }] },
        scene.now,
      );
      by = await openAs('dc1');
    },
    task: () => read(scene.id),
    revision: async () => (await ledger.readRun(scene.run))?.run.revision ?? 0,
    ref: () => ({ task: scene.id, epoch }),
    item: (state, generation = ledger.generation) => ({ ...scene.ref(), generation, state }),
    offer: async (options = {}) => {
      const task = await scene.task();
      return ledger.offerTasks({
        to: by,
        tasks: [{ task: task.id, epoch: task.epoch }],
        now: scene.now,
        expiresAt: scene.now + 10_000,
        ...options,
      });
    },
    start: async (runner) => {
      if (runner !== undefined) by = await openAs(runner);
      ({ epoch } = await startAs(by, await scene.task()));
    },
    claim: async () => {
      ({ epoch } = await claimAs(by, await scene.task()));
    },
    release: async () => {
      const reports = [{ ...scene.ref(), kind: 'Released' as const }];
      return (await ledger.recordReports({ by, reports, now: scene.now })).answers[0];
    },
    tell: async (outcome, over = {}) => {
      const { answers } = await ledger.recordReports({
        by,
        reports: [{ ...scene.ref(), kind: 'Result', result: result(outcome, over) }],
        now: scene.now,
      });
      return answers[0];
    },
    execute: async (task, ended) => {
      await startAs(await openAs('prober'), task);
      if (ended) await scene.finish(task, ended);
    },
    finish: async (task, ended) => {
      const held = await read(task.id);
      const ref = { task: task.id, epoch: held.epoch };
      await ledger.recordReports({
        by: holderOf(held),
        reports: [{ ...ref, kind: 'Result', result: ended }],
        now: scene.now,
      });
    },
    renew: async (task) => {
      await ledger.renewLeases({
        by: holderOf(task),
        attempts: [{ task: task.id, epoch: task.epoch }],
        leaseExpiresAt: scene.now + leaseMs,
      });
    },
    restart: async (inventory, startedAt = firstProcess) => {
      count += 1;
      by = { ...by, session: `session-${count}` };
      return ledger.openSession({
        by,
        inventory,
        now: scene.now,
        leaseExpiresAt: scene.now + leaseMs,
        hello: hello(startedAt),
      });
    },
    decide: (over) =>
      ledger.decide({
        uid: `decision-${scene.id}`,
        runUid: scene.run,
        step: 'restart',
        target: 'web-0',
        epoch,
        by: 'bob',
        reason: 'I looked',
        now: scene.now,
        ...over,
      }),
    pass: async (ms) => {
      scene.now += ms;
      await ledger.expire({ now: scene.now, graceMs: 15 * 60_000 });
    },
    end: () => opened.end(),
  };
  return scene;
};
