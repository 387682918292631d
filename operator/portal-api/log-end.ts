import { terminalStates, type TaskRecord } from '../ledger/records.ts';
import type { LogStore } from '../logs/contract.ts';

/** How long the last bytes of a log may come after the result, in milliseconds: results never wait for logs. */
export const trailMs = 15_000;

export interface LogEndOptions {
  readonly logs: Pick<LogStore, 'state' | 'onCommit'>;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/** Whether bytes of the log may still follow, and their end be known: not of what never ran, or was lost. */
export const hasTrail = ({ state, startedAt, result }: TaskRecord): boolean =>
  terminalStates.has(state) && startedAt !== null && result !== null;

/**
 * Waits for the last bytes of a task that has just ended, so that who reads its log then reads all of it. Resolves at once
 * while it runs, when it ended without a result, which alone says how long its log is, and when it ended longer ago than a
 * log may trail its result.
 */
export const logEnd = async (task: TaskRecord, options: LogEndOptions): Promise<void> => {
  const { logs, now, signal } = options;
  if (!hasTrail(task) || task.finishedAt === null) return;
  const left = task.finishedAt + trailMs - now();
  if (left <= 0) return;
  const over = AbortSignal.any([signal, AbortSignal.timeout(left)]);
  const ref = { task: task.id, epoch: task.epoch };
  let woken = Promise.withResolvers<void>();
  const wake = (): void => woken.resolve();
  const unsubscribe = logs.onCommit((refs) => {
    if (refs.some((each) => each.task === task.id)) wake();
  });
  over.addEventListener('abort', wake, { once: true });
  try {
    while (!over.aborted && (await logs.state(ref)).end === 'Open') {
      await woken.promise;
      woken = Promise.withResolvers<void>();
    }
  } finally {
    unsubscribe();
    over.removeEventListener('abort', wake);
  }
};
