import type { Changed } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { endOpenAttempts } from './attempts.ts';
import { Changes, updateTask } from './changes.ts';
import { backToReady, toTerminal, toUnknown } from './transitions.ts';

interface Expire {
  now: Millis;
  graceMs: number;
}

const at = (time: Millis | null): string =>
  time === null ? 'an unknown time' : new Date(time).toISOString();

const lostMessage = (task: TaskRow): string =>
  `Runner ${task.runner_name} has held this since ${at(task.claimed_at)} and has not been heard of since ` +
  `${at(task.unknown_since)}; ${task.started_at === null ? 'it may have started' : `it started at ${at(task.started_at)}`} ` +
  `and nobody knows how it ended. Check ${task.target === '' ? 'its target' : task.target} and the runner's journal, then start a new run if the work is not done.`;

const queueMessage = (task: TaskRow): string => {
  const tags = JSON.parse(task.tags).join(', ');
  return `No runner took it from ${at(task.ready_at)} to ${at(task.queue_deadline)}. Start or free a runner ${tags === '' ? 'that may run it' : `with the tags ${tags}`}, then start a new run.`;
};

/** Nobody accepted: the runner starts nothing without an accept's answer, so it may be offered again. */
const expireOffers = async (tx: Tx, { now }: Expire, changes: Changes): Promise<void> => {
  const rows = await tx.sql
    .updateTable('tasks')
    .set(backToReady())
    .where('state', '=', 'Offered')
    .where('offer_expires_at', '<=', now)
    .returningAll()
    .execute();
  await endOpenAttempts(
    tx,
    rows.map(({ id }) => id),
    'Expired',
    now,
  );
  for (const row of rows) changes.changed(row);
};

const expireQueue = async (tx: Tx, { now }: Expire, changes: Changes): Promise<void> => {
  const rows = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('state', '=', 'Ready')
    .where('queue_deadline', '<=', now)
    .execute();
  for (const row of rows) {
    const why = { reason: 'QueueTimeout', message: queueMessage(row) };
    changes.changed(await updateTask(tx, row, toTerminal('Failed', now, why)));
  }
};

const expireLeases = async (tx: Tx, { now }: Expire, changes: Changes): Promise<void> => {
  const rows = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('state', 'in', ['Claimed', 'Running'])
    .where('lease_expires_at', '<=', now)
    .execute();
  for (const row of rows) {
    const message = `Runner ${row.runner_name} has not renewed its lease, which ended at ${at(row.lease_expires_at)}.`;
    changes.changed(await updateTask(tx, row, toUnknown(now, 'LeaseExpired', message)));
  }
};

const expireUnknown = async (tx: Tx, { now, graceMs }: Expire, changes: Changes): Promise<void> => {
  const rows = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('state', '=', 'Unknown')
    .where('unknown_since', '<=', now - graceMs)
    .execute();
  for (const row of rows) {
    const why = { reason: 'Lost', message: lostMessage(row) };
    changes.changed(await updateTask(tx, row, toTerminal('Lost', now, why)));
  }
  await endOpenAttempts(
    tx,
    rows.map(({ id }) => id),
    'Lost',
    now,
  );
};

/** What ran out long before the sweep takes all its steps in one: an offer may become Ready and fail, a lease Unknown. */
export const expire = async (tx: Tx, command: Expire): Promise<Changed> => {
  const changes = new Changes();
  await expireOffers(tx, command, changes);
  await expireQueue(tx, command, changes);
  await expireUnknown(tx, command, changes);
  await expireLeases(tx, command, changes);
  return { tasks: await changes.settle(tx) };
};
