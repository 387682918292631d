import type { Changed } from '../ledger.ts';
import type { Millis, TaskState } from '../records.ts';
import { isOneOf, type TaskRow, type Tx } from '../tables.ts';
import { endAttempt, endOpenAttempts } from './attempts.ts';
import { Changes } from './changes.ts';
import { expireLocks, settleLock } from './locks.ts';
import { guardLeader } from './meta.ts';
import { lostMessage, actOnLost } from './on-lost.ts';
import { defaultKillGraceMs } from './policies.ts';
import { askMessage, settle } from './probes.ts';
import { backToReady, toAwaitingHuman, toTerminal, toUnknown } from './transitions.ts';

interface Expire {
  now: Millis;
  graceMs: number;
  killGraceMs?: number;
  term?: number;
}

const at = (time: Millis | null): string =>
  time === null ? 'an unknown time' : new Date(time).toISOString();

const queueMessage = (task: TaskRow): string => {
  const tags = JSON.parse(task.tags).join(', ');
  return `No runner took it from ${at(task.ready_at)} to ${at(task.queue_deadline)}. Start or free a runner ${tags === '' ? 'that may run it' : `with the tags ${tags}`}, then start a new run.`;
};

type DeadlineColumn =
  | 'offer_expires_at'
  | 'queue_deadline'
  | 'lease_expires_at'
  | 'unknown_since'
  | 'deadline';

/**
 * What a restored ledger says of deadlines means nothing before its tasks have been vouched for. States are written out, so that
 * the partial indexes over those that wait are used: the finished tasks of a month are not looked at each second.
 */
const overdue = (tx: Tx, column: DeadlineColumn, states: readonly TaskState[], now: Millis) =>
  tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where(isOneOf(states))
    .where(column, '<=', now)
    .where('uncertain', '=', 0)
    .orderBy(column)
    .execute();

/** Nobody accepted: the runner starts nothing without an accept's answer, so it may be offered again. */
const expireOffers = async (changes: Changes): Promise<void> => {
  const { tx, now } = changes;
  for (const row of await overdue(tx, 'offer_expires_at', ['Offered'], now)) {
    await endOpenAttempts(tx, [row.id], 'Expired', now);
    await settleLock(tx, row, 'Unstarted', now);
    await changes.move(row, backToReady(row, now), 'Unaccepted');
  }
};

const expireQueue = async (changes: Changes): Promise<void> => {
  const { tx, now } = changes;
  for (const row of await overdue(tx, 'queue_deadline', ['Ready'], now)) {
    const why = { reason: 'QueueTimeout', message: queueMessage(row) };
    await changes.move(row, toTerminal('Failed', now, why), 'Deadline');
  }
};

const expireLeases = async (changes: Changes): Promise<void> => {
  const { tx, now } = changes;
  for (const row of await overdue(tx, 'lease_expires_at', ['Claimed', 'Running'], now)) {
    const message = `Runner ${row.runner_name} has not renewed its lease, which ended at ${at(row.lease_expires_at)}.`;
    await changes.move(row, toUnknown(now, 'LeaseExpired', message), 'Silence');
  }
};

const expireUnknown = async (changes: Changes, command: Expire): Promise<void> => {
  const { graceMs, killGraceMs = defaultKillGraceMs } = command;
  if (!Number.isFinite(graceMs)) return;
  const rows = await overdue(changes.tx, 'unknown_since', ['Unknown'], changes.now);
  for (const row of rows) await actOnLost(changes, row, { graceMs, killGraceMs });
};

const expireWaiting = async (changes: Changes): Promise<void> => {
  const { tx, now } = changes;
  for (const row of await overdue(tx, 'deadline', ['Blocked', 'Verifying', 'AwaitingHuman'], now)) {
    if (row.state === 'Blocked') {
      const message = `It was blocked until ${at(row.deadline)}: ${row.message} Start a new run if it is still wanted.`;
      await changes.move(row, toTerminal('Failed', now, { reason: 'Expired', message }), 'Deadline');
    } else if (row.state === 'Verifying') {
      const message = askMessage(
        row,
        `The verify script of attempt ${row.epoch} gave no answer until ${at(row.deadline)}.`,
      );
      await changes.move(row, toAwaitingHuman(now, { reason: 'AwaitingHuman', message }), 'Deadline');
    } else {
      const counted = await endAttempt(tx, row, { ending: 'Lost', how: 'Unconfirmed' }, now);
      const message = `Nobody decided until ${at(row.deadline)}. ${lostMessage(row)}`;
      const change = toTerminal('Lost', now, { reason: 'Lost', message });
      await changes.move(row, { ...change, ...counted }, 'Deadline');
    }
  }
};

/** What ran out long before the sweep takes all its steps in one: an offer may become Ready and fail, a lease Unknown. */
export const expire = async (tx: Tx, command: Expire): Promise<Changed> => {
  await guardLeader(tx, command.term);
  const changes = new Changes(tx, command.now);
  await expireOffers(changes);
  await expireQueue(changes);
  await expireUnknown(changes, command);
  await expireLeases(changes);
  await expireWaiting(changes);
  await expireLocks(tx, command.now);
  return { tasks: await settle(changes) };
};
