import type { Updateable } from 'kysely';
import { maxCrashes, type Millis } from '../records.ts';
import type { TaskRow, TasksTable } from '../tables.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** How long a task waits for a runner when its plan does not say. */
export const defaultQueueMs = hour;
/** From the end of a lease: until then a runner has ended its own work under `onLost: Retry`. */
export const defaultKillGraceMs = 30_000;
/** How long a person has for a decision, and a run may stay paused. */
export const patienceMs = 7 * day;
/** How long the place of an attempt of unconfirmed end stays taken when nobody releases it. */
export const unconfirmedLockMs = day;
/** What a probe may take beside its queue and its timeout: lease and grace of the runner that loses it. */
const probeMarginMs = hour;
const maxBackoffMs = 5 * minute;
/** Attempts that verify scripts may have found not done before a person has to look. */
export const maxVerified = 10;
/** A process that dies later with a task in hand did not die of it: runners are upgraded under steps that take hours. */
export const steadyMs = 10 * minute;
/** Added to the epoch of a restored task that nobody vouched for: more attempts than can have been made since the copy. */
export const restoredEpochs = 1000;

export const verifyDeadline = (timeoutMs: number, now: Millis): Millis =>
  now + defaultQueueMs + timeoutMs + probeMarginMs;

const backoffMs = (task: TaskRow): number =>
  Math.min(maxBackoffMs, task.retry_delay_ms * 2 ** (task.retry_limit - task.retries_left));

/** Back in the queue, with its whole queue time. */
export const queued = (task: Pick<TaskRow, 'queue_ms'>, from: Millis) => ({
  state: 'Ready' as const,
  ready_at: from,
  queue_deadline: from + (task.queue_ms ?? defaultQueueMs),
  not_before: null,
  offer_expires_at: null,
  lease_expires_at: null,
  unknown_since: null,
  deadline: null,
  claimed_at: null,
  started_at: null,
});

/** Another attempt, after its back-off, for one retry less. */
export const retried = (task: TaskRow, now: Millis, why: string): Updateable<TasksTable> => {
  const notBefore = now + backoffMs(task);
  const left = task.retries_left - 1;
  return {
    ...queued(task, notBefore),
    not_before: notBefore,
    retries_left: left,
    reason: 'Retrying',
    message: `${why} The next attempt starts at ${new Date(notBefore).toISOString()} at the earliest; ${left} ${left === 1 ? 'retry is' : 'retries are'} left after it.`,
  };
};

/** The process that held the attempt died with it; each counts once, whatever tells of its death. */
export const withCrash = (task: TaskRow): Pick<TaskRow, 'crashes' | 'crashed_session'> =>
  task.crashed_session === task.session
    ? { crashes: task.crashes, crashed_session: task.crashed_session }
    : { crashes: task.crashes + 1, crashed_session: task.session };

export const isPoisoned = ({ crashes }: Pick<TaskRow, 'crashes'>): boolean => crashes >= maxCrashes;

export const poisonedMessage = (task: TaskRow): string =>
  `${maxCrashes} processes of runners died while they held it, runner ${task.runner_name} last, so it is not tried again. ` +
  `Look into the log of that runner for what ended it, check ${task.target === '' ? 'the target' : task.target}, then start a new run.`;
