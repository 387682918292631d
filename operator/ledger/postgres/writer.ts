import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { OutriderError } from '@outrider/protocol';
import { settle, type Answer, type Call } from './call.ts';
import type { Connection } from './connection.ts';
import { explainFailure, isAway, isConflict } from './failures.ts';
import { outcomeOf, type Mark } from './outcome.ts';
import type { OwnChanges } from './own-changes.ts';
import type { Queue } from './queue.ts';
import { backOffMs, reconnecting, type Sessions } from './session.ts';
import { CommandRefused, GroupFailed, prepare, type Mode, type Prepared } from './transaction.ts';

/** Commit times kept for diagnostics. */
const keptTimings = 1000;

export interface Timings {
  commits: number;
  readonly commitMs: number[];
}

export interface WriterOptions {
  readonly sessions: Sessions;
  readonly queue: Queue;
  readonly own: OwnChanges;
  readonly timings: Timings;
  /** Told after each commit that changed tasks. */
  readonly onCommit: (tasks: readonly string[]) => void;
}

const hasTasks = (value: unknown): value is { tasks: readonly { id: string }[] } =>
  typeof value === 'object' && value !== null && 'tasks' in value && Array.isArray(value.tasks);

const changedTasks = (answers: readonly Answer[]): string[] => [
  ...new Set(
    answers.flatMap((answer) =>
      answer.ok && hasTasks(answer.value) ? answer.value.tasks.map(({ id }) => id) : [],
    ),
  ),
];

/**
 * Takes groups of calls from the queue and commits each in one transaction, on a session of its own. Calls that arrive while
 * a group is at work form the next: under load the groups grow, and the number of commits does not.
 */
export const startWriter = (options: WriterOptions, number: number): { readonly ended: Promise<void> } => {
  const { sessions, queue, own, timings, onCommit } = options;
  const session = reconnecting(sessions, { purpose: `writer-${number}` });
  const writer = `${sessions.settings.replica}/${number}/${randomUUID()}`;

  const explained = (error: unknown): OutriderError =>
    new OutriderError(explainFailure(sessions.what, error), { cause: error });

  /** Ends with the answers given, or with an error after which it is certain that nothing of it is kept. */
  const commit = async (connection: Connection, prepared: Prepared, mark: Mark): Promise<void> => {
    const tasks = changedTasks(prepared.answers);
    own.begin(prepared.xid, tasks);
    const start = performance.now();
    try {
      await connection.commit().catch((error: unknown) => outcomeOf(sessions, mark, error));
      timings.commits += 1;
      timings.commitMs.push(performance.now() - start);
      if (timings.commitMs.length > keptTimings) timings.commitMs.shift();
      for (const answer of prepared.answers) settle(answer);
    } catch (error) {
      own.undo(prepared.xid);
      throw error;
    } finally {
      own.end(tasks);
    }
    if (tasks.length > 0) onCommit(tasks);
  };

  const attempt = async (connection: Connection, calls: readonly Call[], mode: Mode): Promise<void> => {
    const mark: Mark = { writer, token: randomUUID() };
    try {
      await commit(connection, await prepare(connection, calls, { mode, mark }), mark);
    } catch (error) {
      if (!(error instanceof GroupFailed) || mode === 'Apart') throw error;
      await attempt(connection, calls, 'Apart');
    }
  };

  /** True when the group was answered; false when it waits to be tried again. */
  const work = async (connection: Connection, calls: readonly Call[]): Promise<boolean> => {
    try {
      await attempt(connection, calls, 'Together');
      return true;
    } catch (error) {
      const isPassing = isAway(error) || isConflict(error);
      if (isAway(error)) connection.abandon();
      if (isPassing) queue.putBack(calls, explained(error));
      else {
        const reason = error instanceof CommandRefused ? error.reason : error;
        for (const call of calls) call.reject(reason instanceof OutriderError ? reason : explained(reason));
      }
      return !isPassing;
    }
  };

  const run = async (): Promise<void> => {
    let failures = 0;
    for (;;) {
      const blame = (error: unknown): void => queue.blame(explained(error));
      const connection = await session.get(blame, () => !queue.isOver());
      if (connection === undefined) break;
      queue.blame(undefined);
      const calls = await queue.take();
      if (calls === undefined) break;
      failures = (await work(connection, calls)) ? 0 : failures + 1;
      if (failures > 0) await sleep(backOffMs(failures));
    }
    await session.close();
  };

  return { ended: run() };
};
