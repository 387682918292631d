import type { Updateable } from 'kysely';
import { OutriderError } from '@outrider/protocol';
import { terminalStates, type Millis, type TaskRecord } from '../records.ts';
import { toTask } from '../rows.ts';
import type { TaskRow, TasksTable, Tx } from '../tables.ts';
import { isLegal, type Cause } from './moves.ts';

/**
 * What one command changes. Every write of a task's state goes through `move`, which compares the epoch and the state that
 * were read and knows the legal transitions. The run's revision grows once, before its first task is written: in PostgreSQL
 * its row then keeps other commands on the same run waiting, so that no task is written under a revision already read.
 */
export class Changes {
  readonly tx: Tx;
  readonly now: Millis;
  readonly #tasks = new Map<string, TaskRow>();
  readonly #revisions = new Map<string, number>();
  readonly #endedProbes: TaskRow[] = [];
  readonly #leftVerifying: TaskRow[] = [];

  constructor(tx: Tx, now: Millis) {
    this.tx = tx;
    this.now = now;
  }

  /** The revision under which this command writes tasks of the run. */
  async revise(runUid: string): Promise<number> {
    const known = this.#revisions.get(runUid);
    if (known !== undefined) return known;
    const { revision } = await this.tx.sql
      .updateTable('runs')
      .set((eb) => ({ revision: eb('revision', '+', 1) }))
      .where('uid', '=', runUid)
      .returning('revision')
      .executeTakeFirstOrThrow();
    this.#revisions.set(runUid, revision);
    return revision;
  }

  /** Writes a task if it is still what was read, to a state that may follow for this cause. */
  async move(read: TaskRow, change: Updateable<TasksTable>, cause: Cause): Promise<TaskRow> {
    const to = change.state ?? read.state;
    if (!isLegal(cause, read.state, to))
      throw new Error(`${cause} cannot take task ${read.id} from ${read.state} to ${to}`);
    const revision = await this.revise(read.run_uid);
    const row = await updateTask(this.tx, read, { ...change, revision });
    this.moved(read, row, cause);
    return row;
  }

  /** Takes note of a task that a statement over many has moved. */
  moved(read: Pick<TaskRow, 'state'>, row: TaskRow, cause: Cause): void {
    this.told(row);
    if (row.probe_of !== null && terminalStates.has(row.state)) this.#endedProbes.push(row);
    if (read.state === 'Verifying' && row.state !== 'Verifying' && cause !== 'Probe')
      this.#leftVerifying.push(row);
  }

  /** Only its lease moved: no plan depends on that, and it would make plans stale for nothing. */
  async extend(read: TaskRow, leaseExpiresAt: Millis): Promise<void> {
    this.told(await updateTask(this.tx, read, { lease_expires_at: leaseExpiresAt }));
  }

  /** Its runner is told to end it. */
  async flagCancelled(read: TaskRow): Promise<void> {
    const revision = await this.revise(read.run_uid);
    this.told(await updateTask(this.tx, read, { cancel_requested: 1, revision }));
  }

  /** It belongs into the answer. */
  told(row: TaskRow): void {
    this.#tasks.set(row.id, row);
  }

  /** Probes that ended since this was last asked. */
  takeEndedProbes(): readonly TaskRow[] {
    return this.#endedProbes.splice(0);
  }

  /** Tasks whose probe is not needed any more. */
  takeLeftVerifying(): readonly TaskRow[] {
    return this.#leftVerifying.splice(0);
  }

  records(): readonly TaskRecord[] {
    return Array.from(this.#tasks.values(), toTask);
  }
}

export const findTask = (tx: Tx, id: string): Promise<TaskRow | undefined> =>
  tx.sql.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst();

const updateTask = async (tx: Tx, read: TaskRow, change: Updateable<TasksTable>): Promise<TaskRow> => {
  const row = await tx.sql
    .updateTable('tasks')
    .set(change)
    .where('id', '=', read.id)
    .where('epoch', '=', read.epoch)
    .where('state', '=', read.state)
    .returningAll()
    .executeTakeFirst();
  if (row !== undefined) return row;
  throw new OutriderError({
    code: 'StateMismatch',
    message: `Task ${read.id} is no longer ${read.state} at epoch ${read.epoch}.`,
    action: 'Read it again and decide anew.',
  });
};
