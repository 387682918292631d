import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Caches } from './caches.ts';
import { Board } from './dispatch/board.ts';
import type { Dispatch } from './dispatch/contract.ts';
import { createDispatch } from './dispatch/dispatch.ts';
import { generationMismatch } from './dispatch/errors.ts';
import { createExplain } from './dispatch/explain.ts';
import { Matcher } from './dispatch/offers.ts';
import { Sessions } from './dispatch/sessions.ts';
import { startSweeper } from './dispatch/sweeper.ts';
import type { Times } from './dispatch/times.ts';
import type { EventRecorder, StatusWriter } from './kube/contract.ts';
import type { Logger } from './kube/logger.ts';
import { createWorkQueue } from './kube/work-queue.ts';
import type { Ledger } from './ledger/ledger.ts';
import { openSqliteLedger } from './ledger/sqlite/open.ts';
import type { LogStore } from './logs/contract.ts';
import { openSqliteLogStore } from './logs/open.ts';
import { startPruner } from './pruner.ts';
import { openRecoveryMode, type RecoveryMode } from './recovery/mode.ts';
import { createRunReconciler, recoverRuns, watchRuns, type RunsOptions } from './runs/reconciler.ts';
import { watchStores } from './store-watch.ts';

export interface EngineOptions {
  readonly dataDir: string;
  readonly caches: Caches;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly now: () => number;
  readonly times: Times;
  readonly queueTimeoutMs: number;
  /** Most attempts of one namespace at a time; undefined for no limit. */
  readonly namespaceConcurrency: number | undefined;
}

/** Ledger, logs, dispatch and runs: what makes work happen once it is asked for. */
export interface Engine {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly dispatch: Dispatch;
  readonly recovery: RecoveryMode;
  /** Takes up what the ledger has open, then follows the caches. Call it when everything else is wired. */
  begin(): Promise<void>;
  /** Rejects when a store has died: then only a new process can go on. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

export const openEngine = async (options: EngineOptions): Promise<Engine> => {
  const { caches, logger, times, now } = options;
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 });
  const ledger = await openSqliteLedger({ file: join(options.dataDir, 'ledger.db') });
  const logs = await openSqliteLogStore({ dir: join(options.dataDir, 'logs') });
  const onError = (error: unknown): void => logger.error({ err: error }, 'dispatching failed; trying again');
  const board = new Board({ now, namespaceConcurrency: options.namespaceConcurrency });
  const recovery = await openRecoveryMode({ ledger, apply: (tasks) => board.apply(tasks), now });
  const paused = (): boolean => recovery.active;
  const sessions = new Sessions({ runners: caches.runners, onlineMs: times.onlineMs, now });
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
    random: Math.random,
  });
  const sweeper = startSweeper({ ledger, logs, board, times, paused, now, onError });
  const runs: RunsOptions = {
    ...options,
    runs: caches.workflowRuns,
    workflows: caches.workflows,
    targets: caches.targets,
    ledger,
    board,
    explain: createExplain({ board, sessions, recovering: paused, now }),
    recovering: paused,
  };
  const reconciler = createRunReconciler(runs);
  const queue = createWorkQueue({
    reconcile: reconciler.reconcile,
    onError: (key, error) => logger.warn({ err: error, run: key }, 'could not reconcile a run; trying again'),
    concurrency: 16,
  });
  reconciler.attach(queue);
  const pruner = startPruner({
    ledger,
    logs,
    now,
    onError: (error) => logger.warn({ err: error }, 'could not prune; trying again'),
  });
  const watch = watchStores({ ledger, logs });
  const reconcileAll = (): void => {
    for (const { metadata } of caches.workflowRuns.list())
      queue.add(`${metadata.namespace}/${metadata.name}`);
  };
  recovery.onChange(() => {
    if (recovery.active) sessions.removeAll(generationMismatch());
    else matcher.pump();
    reconcileAll();
  });
  return {
    ledger,
    logs,
    board,
    sessions,
    dispatch,
    recovery,
    failed: watch.failed,
    begin: async () => {
      await recoverRuns(runs, queue);
      watchRuns(runs, queue);
      reconcileAll();
    },
    stop: async () => {
      watch.stop();
      sweeper.stop();
      matcher.stop();
      pruner.stop();
      await queue.stop();
      await ledger.close();
      await logs.close();
    },
  };
};
