import type { LockRecord, Millis, TaskState } from '../records.ts';
import { toLock } from '../rows.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { unconfirmedLockMs } from './policies.ts';

interface Holder {
  readonly task: string;
  readonly since: Millis;
  /** Null when its run is pruned. */
  readonly state: TaskState | null;
}

/** What waits to be tried again has its place, and acts on nothing. */
const waits = ({ state }: Holder): boolean => state === 'Ready' || state === 'Blocked';

const isBefore = (one: Holder, other: Holder): boolean =>
  one.since < other.since || (one.since === other.since && one.task < other.task);

/** After a restore there may be more places taken than there are: who waits with one lets those go first that do not, or came before. */
const goesBefore = (own: Holder, other: Holder): boolean =>
  other.task !== own.task && (!waits(other) || isBefore(other, own));

/** Takes a place for a task that is about to be offered, or keeps the one that it has. False when all are taken. */
export const takeLock = async (tx: Tx, task: TaskRow, now: Millis): Promise<boolean> => {
  const { lock_key: key, lock_max: max } = task;
  if (key === null) return true;
  await tx.lock(`lock/${key}`);
  const holders: Holder[] = await tx.sql
    .selectFrom('locks')
    .leftJoin('tasks', 'tasks.id', 'locks.task')
    .select(['locks.task', 'locks.since', 'tasks.state'])
    .where('locks.key', '=', key)
    .execute();
  const epoch = task.epoch + 1;
  const own = holders.find((holder) => holder.task === task.id);
  const others = own === undefined ? holders : holders.filter((holder) => goesBefore(own, holder));
  if (others.length >= (max ?? 1)) return false;
  if (own !== undefined) {
    // What was unconfirmed of an attempt before stays so until this one has ended.
    await tx.sql
      .updateTable('locks')
      .set({ epoch })
      .where('key', '=', key)
      .where('task', '=', task.id)
      .execute();
    return true;
  }
  await tx.sql
    .insertInto('locks')
    .values({ key, task: task.id, epoch, since: now, unconfirmed: 0, expires_at: null })
    .execute();
  return true;
};

/** `Unstarted`: nothing of this epoch began, so the place is as it was before it. */
export type HowEnded = 'Confirmed' | 'Unconfirmed' | 'Unstarted';

export const settleLock = async (tx: Tx, task: TaskRow, how: HowEnded, now: Millis): Promise<void> => {
  if (task.lock_key === null) return;
  if (how === 'Unconfirmed') {
    await tx.sql
      .updateTable('locks')
      .set({ unconfirmed: 1, expires_at: now + unconfirmedLockMs })
      .where('task', '=', task.id)
      .execute();
    return;
  }
  let free = tx.sql.deleteFrom('locks').where('task', '=', task.id);
  if (how === 'Unstarted') free = free.where('unconfirmed', '=', 0);
  await free.execute();
};

/** What a person, or a result that came after all, says has ended. False when there is nothing of that epoch to free. */
export const freeUnconfirmed = async (tx: Tx, ref: { task: string; epoch: number }): Promise<boolean> => {
  const freed = await tx.sql
    .deleteFrom('locks')
    .where('task', '=', ref.task)
    .where('epoch', '=', ref.epoch)
    .where('unconfirmed', '=', 1)
    .executeTakeFirst();
  return Number(freed.numDeletedRows) > 0;
};

/** Places whose holders ended a day ago, unless they are at it again. */
export const expireLocks = async (tx: Tx, now: Millis): Promise<void> => {
  await tx.sql
    .deleteFrom('locks')
    .where('unconfirmed', '=', 1)
    .where('expires_at', '<=', now)
    .where('task', 'not in', (eb) =>
      eb
        .selectFrom('tasks')
        .select('id')
        .whereRef('tasks.id', '=', 'locks.task')
        .where('state', 'in', ['Offered', 'Claimed', 'Running', 'Unknown', 'Verifying', 'AwaitingHuman']),
    )
    .execute();
};

export const listLocks = async (tx: Tx, query: { key?: string }): Promise<readonly LockRecord[]> => {
  const select = tx.sql.selectFrom('locks').selectAll().orderBy('since').orderBy('task');
  const rows = await (
    query.key === undefined ? select.where('unconfirmed', '=', 1) : select.where('key', '=', query.key)
  ).execute();
  return rows.map(toLock);
};
