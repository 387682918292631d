import type { Updateable } from 'kysely';
import type { AttemptRef } from '@outrider/protocol';
import { assignments, prepared, preparedByColumns } from '../prepared.ts';
import type { Millis } from '../records.ts';
import {
  inChunks,
  type AttemptRow,
  type AttemptsTable,
  type Ending,
  type TaskRow,
  type Tx,
} from '../tables.ts';
import { settleLock, type HowEnded } from './locks.ts';

const attemptByRef = prepared<AttemptRef, AttemptRow>((db, at) =>
  db.selectFrom('attempts').selectAll().where('task', '=', at('task')).where('epoch', '=', at('epoch')),
);

export const readAttempt = async (tx: Tx, { task, epoch }: AttemptRef): Promise<AttemptRow | undefined> =>
  (await attemptByRef(tx, { task, epoch }))[0];

/** Who is offered it, or holds it. */
interface Holder {
  readonly runner: string;
  readonly runner_name: string;
  readonly session: string;
}

/** The row of an attempt that has done nothing yet. */
export const insertAttempt = prepared<AttemptRef & Holder & { readonly now: Millis }, unknown>((db, at) =>
  db.insertInto('attempts').values({
    task: at('task'),
    epoch: at('epoch'),
    runner: at('runner'),
    runner_name: at('runner_name'),
    session: at('session'),
    offered_at: at('now'),
    claimed_at: null,
    started_at: null,
    ended_at: null,
    ending: null,
    result: null,
    result_digest: null,
    result_at: null,
    unconfirmed: 0,
  }),
);

/** The row of a task that has just been offered. */
export const insertOffered = async (tx: Tx, task: TaskRow, now: Millis): Promise<void> => {
  const { runner, runner_name, session } = task;
  if (runner === null || runner_name === null || session === null)
    throw new Error(`task ${task.id} is offered to nobody`);
  await insertAttempt(tx, { task: task.id, epoch: task.epoch, runner, runner_name, session, now });
};

const writeAttempt = preparedByColumns((columns) =>
  prepared<Updateable<AttemptsTable> & { ofTask: string; ofEpoch: number }, unknown>((db, at) =>
    db
      .updateTable('attempts')
      .set(assignments(columns))
      .where('task', '=', at('ofTask'))
      .where('epoch', '=', at('ofEpoch')),
  ),
);

export const updateAttempt = async (
  tx: Tx,
  ref: AttemptRef,
  change: Updateable<AttemptsTable>,
): Promise<void> => {
  await writeAttempt(Object.keys(change))(tx, { ...change, ofTask: ref.task, ofEpoch: ref.epoch });
};

/** Ends the open attempts of these tasks, all in the same way. */
export const endOpenAttempts = async (
  tx: Tx,
  tasks: readonly string[],
  ending: Ending,
  now: Millis,
): Promise<void> => {
  for (const ids of inChunks(tasks)) {
    await tx.sql
      .updateTable('attempts')
      .set({ ending, ended_at: now })
      .where('task', 'in', ids)
      .where('ended_at', 'is', null)
      .execute();
  }
};

/** How the open attempt of a task ends. */
export interface AttemptEnd {
  readonly ending: Ending;
  readonly how: HowEnded;
}

/**
 * Ends the open attempt of one task, and frees the place that it took if its end is confirmed.
 * @returns What to write to the task with it: how many of its attempts have no confirmed end.
 */
export const endAttempt = async (
  tx: Tx,
  task: TaskRow,
  end: AttemptEnd,
  now: Millis,
): Promise<Pick<TaskRow, 'unconfirmed'>> => {
  const isUnconfirmed = end.how === 'Unconfirmed';
  const { numUpdatedRows } = await tx.sql
    .updateTable('attempts')
    .set({ ending: end.ending, ended_at: now, unconfirmed: isUnconfirmed ? 1 : 0 })
    .where('task', '=', task.id)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  await settleLock(tx, task, end.how, now);
  // An attempt that ended by a result was counted then: what is decided afterwards is what it did.
  return { unconfirmed: task.unconfirmed + (isUnconfirmed && numUpdatedRows > 0n ? 1 : 0) };
};
