import type { Caches } from './caches.ts';
import type { Board } from './dispatch/board.ts';
import { createExplain } from './dispatch/explain.ts';
import type { Sessions } from './dispatch/sessions.ts';
import { startSweeper } from './dispatch/sweeper.ts';
import type { Times } from './dispatch/times.ts';
import type { EventRecorder, StatusWriter } from './kube/contract.ts';
import type { Logger } from './kube/logger.ts';
import { createWorkQueue } from './kube/work-queue.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { LogStore } from './logs/contract.ts';
import { startPruner } from './pruner.ts';
import type { RecoveryMode } from './recovery/mode.ts';
import { createRunReconciler, recoverRuns, watchRuns, type RunsOptions } from './runs/reconciler.ts';

export interface LeadingOptions {
  readonly caches: Caches;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly now: () => number;
  readonly times: Times;
  readonly queueTimeoutMs: number;
  /** Carries the term of this leader where there are several replicas. */
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly recovery: RecoveryMode;
  /** The board is fed with what other replicas do, so it holds what is open already. */
  readonly shared: boolean;
}

export interface Leading {
  readonly ledger: Ledger;
  stop(): Promise<void>;
}

/** What one replica does for all: it advances runs, acts on deadlines and removes what is old. */
export const startLeading = async (options: LeadingOptions): Promise<Leading> => {
  const { caches, ledger, logs, board, sessions, recovery, logger, times, now } = options;
  const recovering = (): boolean => recovery.active;
  const runs: RunsOptions = {
    ...options,
    runs: caches.workflowRuns,
    workflows: caches.workflows,
    targets: caches.targets,
    explain: createExplain({ board, sessions, recovering, now }),
    recovering,
  };
  const reconciler = createRunReconciler(runs);
  const queue = createWorkQueue({
    reconcile: reconciler.reconcile,
    onError: (key, error) => logger.warn({ err: error, run: key }, 'could not reconcile a run; trying again'),
    concurrency: 16,
  });
  reconciler.attach(queue);
  const reconcileAll = (): void => {
    for (const { metadata } of caches.workflowRuns.list())
      queue.add(`${metadata.namespace}/${metadata.name}`);
  };
  // A picture of the open runs that is read now may be older than what the board was told meanwhile.
  const toBoard = options.shared ? { apply: () => undefined } : board;
  await recoverRuns({ ...runs, board: toBoard }, queue);
  watchRuns(runs, queue);
  reconcileAll();
  const unlisten = recovery.onChange(reconcileAll);
  const sweeper = startSweeper({
    ledger,
    logs,
    board,
    times,
    paused: recovering,
    now,
    onError: (error) => logger.error({ err: error }, 'could not act on deadlines; trying again'),
  });
  const pruner = startPruner({
    ledger,
    logs,
    now,
    onError: (error) => logger.warn({ err: error }, 'could not prune; trying again'),
  });
  return {
    ledger,
    stop: async () => {
      unlisten();
      sweeper.stop();
      pruner.stop();
      await queue.stop();
    },
  };
};
