import type { Changed } from '../ledger.ts';
import { terminalStates, type Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { endOpenAttempts } from './attempts.ts';
import { insertAudit } from './audit.ts';
import { Changes } from './changes.ts';
import { settleLock, takeLock } from './locks.ts';
import { guardLeader, writeMeta } from './meta.ts';
import { restoredEpochs } from './policies.ts';
import { askMessage, settle } from './probes.ts';
import { toAwaitingHuman } from './transitions.ts';

interface EnterRecovery {
  generation: string;
  reason: string;
  now: Millis;
  term?: number;
}

/** Every task that is not final, of every run: terminal ones are as true as the day they were copied. */
export const enterRecovery = async (tx: Tx, command: EnterRecovery): Promise<Changed> => {
  const { generation, reason, now } = command;
  await tx.lock('meta');
  const meta = await guardLeader(tx, command.term);
  if (meta.recovery !== null) return { tasks: [] };
  const former = [...meta.formerGenerations, meta.generation];
  await writeMeta(tx, 'former_generations', JSON.stringify(former));
  await writeMeta(tx, 'generation', generation);
  await writeMeta(tx, 'recovery', JSON.stringify({ since: now, reason }));
  await insertAudit(tx, {
    at: now,
    actor: 'operator',
    action: 'EnterRecovery',
    object: 'Ledger',
    details: { generation, former: meta.generation, reason },
  });
  const changes = new Changes(tx, now);
  for (const { uid } of await openRunUids(tx)) {
    const revision = await changes.revise(uid);
    const rows = await tx.sql
      .updateTable('tasks')
      .set({ uncertain: 1, revision })
      .where('run_uid', '=', uid)
      .where('state', 'not in', [...terminalStates])
      .returningAll()
      .execute();
    for (const row of rows) changes.told(row);
  }
  return { tasks: changes.records() };
};

const openRunUids = (tx: Tx) =>
  tx.sql.selectFrom('runs').select('uid').where('state', '=', 'Running').orderBy('uid').execute();

/** Vouched for and waiting for another attempt: it, too, may have had one that only a runner to come knows of. */
const skipEpochs = async (changes: Changes): Promise<void> => {
  const rows = await changes.tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('uncertain', '=', 0)
    .where('epoch', '>', 0)
    .where('state', 'in', ['Ready', 'Blocked'])
    .orderBy('run_uid')
    .orderBy('id')
    .execute();
  for (const row of rows) await changes.move(row, { epoch: row.epoch + restoredEpochs }, 'Unvouched');
};

/** It may be acting on its target now, whatever the copy says: its place is taken, even beyond their number. */
const doubtLock = async (changes: Changes, task: TaskRow, epoch: number): Promise<void> => {
  await takeLock(changes.tx, { ...task, epoch: epoch - 1, lock_max: Infinity }, changes.now);
  await settleLock(changes.tx, task, 'Unconfirmed', changes.now);
};

/** The number that a runner was given after the copy was made is never given out again. */
const giveUpOn = async (changes: Changes, task: TaskRow): Promise<void> => {
  const epoch = task.epoch + restoredEpochs;
  await doubtLock(changes, task, epoch);
  if (task.state === 'Pending') {
    await changes.move(task, { epoch }, 'Unvouched');
    return;
  }
  await endOpenAttempts(changes.tx, [task.id], 'Lost', changes.now);
  const message = askMessage(
    { ...task, epoch },
    'The ledger was restored from a copy, and no runner knows what became of this.',
  );
  const change = toAwaitingHuman(changes.now, { reason: 'AwaitingHuman', message });
  await changes.move(task, { ...change, epoch, uncertain: 0 }, 'Unvouched');
};

export const leaveRecovery = async (
  tx: Tx,
  command: { by: string; now: Millis; term?: number },
): Promise<Changed> => {
  const { by, now } = command;
  await tx.lock('meta');
  const meta = await guardLeader(tx, command.term);
  if (meta.recovery === null) return { tasks: [] };
  const changes = new Changes(tx, now);
  await skipEpochs(changes);
  const rows = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('uncertain', '=', 1)
    .where('state', 'not in', [...terminalStates])
    .orderBy('run_uid')
    .orderBy('id')
    .execute();
  for (const row of rows) await giveUpOn(changes, row);
  await writeMeta(tx, 'recovery', 'null');
  await insertAudit(tx, {
    at: now,
    actor: by,
    action: 'LeaveRecovery',
    object: 'Ledger',
    details: { generation: meta.generation, unvouched: rows.length },
  });
  return { tasks: await settle(changes) };
};
