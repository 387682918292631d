import type { InventoryAnswer, InventoryItem, Problem } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import { heldStates, terminalStates, type Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { notHeld, offerExpired, wrongState } from './answers.ts';
import { endOpenAttempts, updateAttempt } from './attempts.ts';
import { Changes, findTask, updateTask } from './changes.ts';
import { supersedeSessions } from './sessions.ts';
import { backToReady, toHeld, toUnknown } from './transitions.ts';

interface OpenSession {
  by: Speaker;
  inventory: readonly InventoryItem[];
  now: Millis;
  leaseExpiresAt: Millis;
}

/** `Hold`: goes on under the new session. `Deliver`: over, but its result is still to come. */
type Decision = 'Hold' | 'Deliver' | Problem;

const otherGeneration = (item: InventoryItem): Problem => ({
  code: 'GenerationMismatch',
  message: `Epoch ${item.epoch} of task ${item.task} belongs to another ledger (generation ${item.generation}).`,
  action: 'Kill it and forget it; this ledger does not know it.',
});

const decideHeld = (item: InventoryItem, task: TaskRow): Decision => {
  // Whoever started or finished had its accept answered: the journal is right, whatever the ledger says.
  if (item.state !== 'Accepted') return 'Hold';
  if (task.state === 'Offered') return offerExpired(item);
  // A journal that is behind the runner's own report was restored: it must not start this again.
  return task.started_at === null ? 'Hold' : wrongState(item, 'started again', task.state);
};

const decideItem = (item: InventoryItem, task: TaskRow | undefined, by: Speaker): Decision => {
  if (task?.epoch !== item.epoch || task.runner !== by.clientId) return notHeld(item, by);
  if (heldStates.has(task.state)) return decideHeld(item, task);
  const deliver = terminalStates.has(task.state) && item.state === 'Finished';
  return deliver ? 'Deliver' : wrongState(item, 'continued', task.state);
};

const hold = async (tx: Tx, command: OpenSession, item: InventoryItem, task: TaskRow): Promise<TaskRow> => {
  const { by, now, leaseExpiresAt } = command;
  const startedAt = item.state === 'Accepted' ? null : (task.started_at ?? now);
  const claimedAt = task.claimed_at ?? now;
  await updateAttempt(tx, item, { claimed_at: claimedAt, started_at: startedAt });
  return updateTask(tx, task, {
    ...toHeld(by.session, leaseExpiresAt, startedAt),
    claimed_at: claimedAt,
    offer_expires_at: null,
  });
};

/** Held for this key and not in its journal: an offer was never accepted, anything else may be running. */
const giveUpMissing = async (
  tx: Tx,
  command: OpenSession,
  kept: ReadonlySet<string>,
  changes: Changes,
): Promise<void> => {
  const { by, now } = command;
  const rows = await tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('runner', '=', by.clientId)
    .where('state', 'in', ['Offered', 'Claimed', 'Running', 'Unknown'])
    .execute();
  const missing = rows.filter(({ id, state }) => !kept.has(id) && state !== 'Unknown');
  for (const row of missing) {
    const message = `Runner ${by.runnerName} opened a new session, and its journal does not list this as held.`;
    const change = row.state === 'Offered' ? backToReady() : toUnknown(now, 'NotInJournal', message);
    changes.changed(await updateTask(tx, row, change));
  }
  const offered = missing.filter(({ state }) => state === 'Offered').map(({ id }) => id);
  await endOpenAttempts(tx, offered, 'Superseded', now);
};

/** `logOffset` is 0 in every answer: the log store knows it, not the ledger. */
export const openSession = async (
  tx: Tx,
  command: OpenSession,
): Promise<Changed & { answers: readonly InventoryAnswer[] }> => {
  await supersedeSessions(tx, command.by, command.now);
  const changes = new Changes();
  const kept = new Set<string>();
  const answers: InventoryAnswer[] = [];
  for (const item of command.inventory) {
    const task = await findTask(tx, item.task);
    const decision =
      item.generation === tx.generation ? decideItem(item, task, command.by) : otherGeneration(item);
    const answer = { task: item.task, epoch: item.epoch, logOffset: 0 };
    if (typeof decision === 'object') {
      answers.push({ ...answer, decision: 'Abandon', error: decision });
      continue;
    }
    answers.push({ ...answer, decision: 'Continue' });
    if (decision === 'Deliver' || task === undefined) continue;
    changes.changed(await hold(tx, command, item, task));
    kept.add(task.id);
  }
  await giveUpMissing(tx, command, kept, changes);
  return { tasks: await changes.settle(tx), answers };
};
