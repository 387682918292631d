import type { Caches } from './caches.ts';
import { Board } from './dispatch/board.ts';
import type { Dispatch } from './dispatch/contract.ts';
import { createDispatch } from './dispatch/dispatch.ts';
import { generationMismatch } from './dispatch/errors.ts';
import { Matcher } from './dispatch/offers.ts';
import { Sessions } from './dispatch/sessions.ts';
import type { Times } from './dispatch/times.ts';
import type { EventRecorder, StatusWriter } from './kube/contract.ts';
import type { Logger } from './kube/logger.ts';
import { startLeading, type Leading } from './leading.ts';
import type { Ledger } from './ledger/ledger.ts';
import type { LogStore } from './logs/contract.ts';
import { limitLogs } from './logs/limit.ts';
import { openRecoveryMode, type RecoveryMode } from './recovery/mode.ts';
import { startFollowing, type Following } from './replicas/following.ts';
import { createPeerSessions } from './replicas/peer-sessions.ts';
import { openStores } from './stores.ts';

export interface EngineOptions {
  readonly dataDir: string;
  /** postgres://…, which several replicas may share; undefined for SQLite in `dataDir`. */
  readonly ledgerUrl?: string | undefined;
  /** Of this replica. */
  readonly identity: string;
  readonly caches: Caches;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly logger: Logger;
  readonly now: () => number;
  readonly times: Times;
  readonly queueTimeoutMs: number;
  /** Most attempts of one namespace at a time; undefined for no limit. */
  readonly namespaceConcurrency: number | undefined;
  /** Framed log that is kept of one attempt. */
  readonly maxLogBytes: number;
}

/** Ledger, logs and dispatch, which every replica has, and the runs, which the leader advances. */
export interface Engine {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly dispatch: Dispatch;
  readonly recovery: RecoveryMode;
  /** Other replicas may be at work on the same ledger. */
  readonly shared: boolean;
  /** Takes up what the other replicas do, from now on. Call it before anything is served. */
  begin(): Promise<void>;
  /**
   * Advances runs and acts on deadlines, until `stop`; once in the life of a process.
   * @param ledger Carries the leader's term; the engine's own where there is one replica.
   */
  lead(ledger?: Ledger): Promise<Leading>;
  /** Rejects when a store has died: then only a new process can go on. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

export const openEngine = async (options: EngineOptions): Promise<Engine> => {
  const { caches, logger, times, now } = options;
  const stores = await openStores(options);
  const { ledger, shared } = stores;
  const logs = limitLogs(stores.logs, options.maxLogBytes);
  const onError = (error: unknown): void => logger.error({ err: error }, 'dispatching failed; trying again');
  const board = new Board({ now, namespaceConcurrency: options.namespaceConcurrency });
  const recovery = await openRecoveryMode({ ledger, apply: (tasks) => board.apply(tasks), now });
  const paused = (): boolean => recovery.active;
  const sessions = new Sessions({ runners: caches.runners, onlineMs: times.onlineMs, now });
  const matcher = new Matcher({ board, sessions, ledger, offerMs: times.offerMs, paused, now, onError });
  const peers = createPeerSessions({ ledger, sessions });
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
    ...(shared ? { takeUp: (runner, session) => peers.takeUp(runner, session) } : {}),
  });
  recovery.onChange(() => {
    if (recovery.active) sessions.removeAll(generationMismatch());
    else matcher.pump();
  });
  let following: Following | undefined;
  return {
    ledger,
    logs,
    board,
    sessions,
    dispatch,
    recovery,
    shared,
    failed: stores.failed,
    begin: async () => {
      if (!shared) return;
      const { onlineMs } = times;
      following = await startFollowing({ ledger, board, sessions, peers, recovery, onlineMs, now, logger });
    },
    lead: (leading = ledger) =>
      startLeading({ ...options, ledger: leading, logs, board, sessions, recovery, shared }),
    stop: async () => {
      await following?.stop();
      matcher.stop();
      await stores.close();
    },
  };
};
