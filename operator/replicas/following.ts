import type { Board } from '../dispatch/board.ts';
import type { Sessions } from '../dispatch/sessions.ts';
import type { Logger } from '../kube/logger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';
import type { RecoveryMode } from '../recovery/mode.ts';
import { startContacts } from './contacts.ts';
import type { PeerSessions } from './peer-sessions.ts';

export interface FollowingOptions {
  readonly ledger: Ledger;
  readonly board: Board;
  readonly sessions: Sessions;
  readonly peers: PeerSessions;
  readonly recovery: Pick<RecoveryMode, 'refresh'>;
  readonly onlineMs: number;
  readonly now: () => number;
  readonly logger: Logger;
}

export interface Following {
  stop(): Promise<void>;
}

const recoveryEveryMs = 1000;

/**
 * Fills the board with what is open, and keeps it so. What is told while the ledger is read is taken in afterwards: it may be
 * older than what was read, and then the rest is told next.
 */
const followTasks = async (ledger: Ledger, board: Board): Promise<() => void> => {
  let untold: (readonly TaskRecord[])[] | undefined = [];
  const unsubscribe = ledger.onChange((tasks) => {
    if (untold === undefined) board.apply(tasks);
    else untold.push(tasks);
  });
  for (const { tasks } of await ledger.openRuns()) board.apply(tasks);
  for (const tasks of untold) board.apply(tasks);
  untold = undefined;
  return unsubscribe;
};

/** What each of several replicas does to know what the others know: tasks, runners, and whether the ledger was restored. */
export const startFollowing = async (options: FollowingOptions): Promise<Following> => {
  const { ledger, board, logger } = options;
  const unfollow = await followTasks(ledger, board);
  const onError = (what: string) => (error: unknown) =>
    logger.warn({ err: error }, `could not ${what}; trying again`);
  const contacts = startContacts({ ...options, onError: onError('exchange contacts of runners') });
  await contacts.exchange();
  let refreshing: Promise<void> | undefined;
  const timer = setInterval(() => {
    refreshing ??= options.recovery
      .refresh()
      .catch(onError('ask whether the ledger was restored'))
      .finally(() => (refreshing = undefined));
  }, recoveryEveryMs);
  return {
    stop: async () => {
      unfollow();
      clearInterval(timer);
      await Promise.all([refreshing, contacts.stop()]);
    },
  };
};
