import type { Updateable } from 'kysely';
import type { Speaker } from '../ledger.ts';
import type { Millis, TaskState } from '../records.ts';
import type { TaskRow, TasksTable } from '../tables.ts';
import { defaultQueueMs, patienceMs } from './policies.ts';

/** What a task's row becomes on each transition; the guards are in the commands. Deadlines of the state that is left go. */
type Change = Updateable<TasksTable>;

const noDeadlines = {
  queue_deadline: null,
  offer_expires_at: null,
  lease_expires_at: null,
  unknown_since: null,
  not_before: null,
  deadline: null,
};

export const toOffered = (task: TaskRow, to: Speaker, expiresAt: Millis): Change => ({
  state: 'Offered',
  epoch: task.epoch + 1,
  runner: to.clientId,
  runner_name: to.runnerName,
  session: to.session,
  offer_expires_at: expiresAt,
  not_before: null,
  lease_expires_at: null,
  unknown_since: null,
  claimed_at: null,
  started_at: null,
});

/** Nothing of the epoch started: it waits again, with the queue deadline that it had, if it still has one. */
export const backToReady = (task: TaskRow, now: Millis): Change => ({
  state: 'Ready',
  queue_deadline: task.queue_deadline ?? now + (task.queue_ms ?? defaultQueueMs),
  offer_expires_at: null,
  lease_expires_at: null,
  unknown_since: null,
  deadline: null,
  claimed_at: null,
  reason: null,
  message: null,
});

export const toClaimed = (now: Millis, leaseExpiresAt: Millis): Change => ({
  state: 'Claimed',
  claimed_at: now,
  lease_expires_at: leaseExpiresAt,
  offer_expires_at: null,
});

/** Back from Unknown and what follows it, or under a new session: Running when it has started, else Claimed. */
export const toHeld = (session: string, leaseExpiresAt: Millis, startedAt: Millis | null): Change => ({
  state: startedAt === null ? 'Claimed' : 'Running',
  session,
  started_at: startedAt,
  lease_expires_at: leaseExpiresAt,
  unknown_since: null,
  deadline: null,
  reason: null,
  message: null,
});

export const toUnknown = (now: Millis, reason: string, message: string): Change => ({
  state: 'Unknown',
  unknown_since: now,
  reason,
  message,
});

/** Nobody knows how it ended, and somebody has to say. */
export const toAwaitingHuman = (now: Millis, why: { reason: string; message: string }): Change => ({
  ...why,
  queue_deadline: null,
  offer_expires_at: null,
  lease_expires_at: null,
  not_before: null,
  state: 'AwaitingHuman',
  deadline: now + patienceMs,
});

/** Its back-off goes on meanwhile. */
export const toBlocked = (now: Millis, why: { reason: string; message: string }): Change => ({
  ...why,
  queue_deadline: null,
  state: 'Blocked',
  deadline: now + patienceMs,
});

export const toTerminal = (
  state: TaskState,
  now: Millis,
  why: { reason: string | null; message: string | null },
): Change => ({
  ...noDeadlines,
  ...why,
  state,
  finished_at: now,
});
