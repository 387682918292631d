import type { Updateable } from 'kysely';
import { OutriderError } from '@outrider/protocol';
import type { TaskRecord } from '../records.ts';
import { toTask } from '../rows.ts';
import { inChunks, type TaskRow, type TasksTable, type Tx } from '../tables.ts';

/** What a command changed: the tasks for its answer, and the runs whose revision grows, once each. */
export class Changes {
  readonly #tasks = new Map<string, TaskRow>();
  readonly #runs = new Set<string>();

  /** The task moved, so plans made before are out of date. */
  changed(task: TaskRow): void {
    this.touched(task);
    this.#runs.add(task.run_uid);
  }

  /** Only its lease moved: no plan depends on that. */
  touched(task: TaskRow): void {
    this.#tasks.set(task.id, task);
  }

  async settle(tx: Tx): Promise<readonly TaskRecord[]> {
    for (const uids of inChunks([...this.#runs])) {
      await tx.sql
        .updateTable('runs')
        .set((eb) => ({ revision: eb('revision', '+', 1) }))
        .where('uid', 'in', uids)
        .execute();
    }
    return Array.from(this.#tasks.values(), toTask);
  }
}

export const findTask = (tx: Tx, id: string): Promise<TaskRow | undefined> =>
  tx.sql.selectFrom('tasks').selectAll().where('id', '=', id).executeTakeFirst();

/** Writes a task if it is still what was read: same epoch, same state. */
export const updateTask = async (tx: Tx, read: TaskRow, change: Updateable<TasksTable>): Promise<TaskRow> => {
  const row = await tx.sql
    .updateTable('tasks')
    .set(change)
    .where('id', '=', read.id)
    .where('epoch', '=', read.epoch)
    .where('state', '=', read.state)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) {
    throw new OutriderError({
      code: 'StateMismatch',
      message: `Task ${read.id} is no longer ${read.state} at epoch ${read.epoch}.`,
      action: 'Read it again and decide anew.',
    });
  }
  return row;
};
