import type { Updateable } from 'kysely';
import { OutriderError } from '@outrider/protocol';
import { assignments, prepared, preparedByColumns } from '../prepared.ts';
import { terminalStates, type Millis, type TaskRecord, type TaskState } from '../records.ts';
import { toTask } from '../rows.ts';
import type { TaskRow, TasksTable, Tx } from '../tables.ts';
import { isLegal, type Cause } from './moves.ts';

const reviseRun = prepared<{ runUid: string }, { revision: number }>((db, at) =>
  db
    .updateTable('runs')
    .set((eb) => ({ revision: eb('revision', '+', 1) }))
    .where('uid', '=', at('runUid'))
    .returning('revision'),
);

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
    const [run] = await reviseRun(this.tx, { runUid });
    if (run === undefined) throw new Error(`the ledger has no run ${runUid}`);
    this.#revisions.set(runUid, run.revision);
    return run.revision;
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

const taskById = prepared<{ id: string }, TaskRow>((db, at) =>
  db.selectFrom('tasks').selectAll().where('id', '=', at('id')),
);

export const findTask = async (tx: Tx, id: string): Promise<TaskRow | undefined> =>
  (await taskById(tx, { id }))[0];

interface Read {
  readonly readId: string;
  readonly readEpoch: number;
  readonly readState: TaskState;
}

const writeIfUnchanged = preparedByColumns((columns) =>
  prepared<Updateable<TasksTable> & Read, TaskRow>((db, at) =>
    db
      .updateTable('tasks')
      .set(assignments(columns))
      .where('id', '=', at('readId'))
      .where('epoch', '=', at('readEpoch'))
      .where('state', '=', at('readState'))
      .returningAll(),
  ),
);

const updateTask = async (tx: Tx, read: TaskRow, change: Updateable<TasksTable>): Promise<TaskRow> => {
  const condition: Read = { readId: read.id, readEpoch: read.epoch, readState: read.state };
  const [row] = await writeIfUnchanged(Object.keys(change))(tx, { ...change, ...condition });
  if (row !== undefined) return row;
  throw new OutriderError({
    code: 'StateMismatch',
    message: `Task ${read.id} is no longer ${read.state} at epoch ${read.epoch}.`,
    action: 'Read it again and decide anew.',
  });
};
