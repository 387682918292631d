import type { InventoryAnswer, InventoryItem, Problem } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import {
  openAttemptStates,
  terminalStates,
  type AttemptRef,
  type LedgerMeta,
  type Millis,
  type SessionHello,
} from '../records.ts';
import { isOneOf, type TaskRow, type Tx } from '../tables.ts';
import { notHeld, offerExpired, poisoned, wrongState } from './answers.ts';
import { endAttempt, endOpenAttempts, readAttempt, updateAttempt } from './attempts.ts';
import { Changes, findTask } from './changes.ts';
import { settleLock } from './locks.ts';
import { readMeta } from './meta.ts';
import { isPoisoned, poisonedMessage, steadyMs, withCrash } from './policies.ts';
import { settle } from './probes.ts';
import { mayVouch, vouch } from './recovered.ts';
import { supersedeSessions } from './sessions.ts';
import { backToReady, toHeld, toTerminal, toUnknown } from './transitions.ts';

interface OpenSession {
  by: Speaker;
  inventory: readonly InventoryItem[];
  now: Millis;
  leaseExpiresAt: Millis;
  hello?: SessionHello;
}

/** `Hold`: goes on under the new session. `Vouch`: the same, for a restored task. `Deliver`: over, but its result is still to come. */
type Decision = 'Hold' | 'Vouch' | 'Deliver' | Problem;

const otherGeneration = (item: InventoryItem): Problem => ({
  code: 'GenerationMismatch',
  message: `Epoch ${item.epoch} of task ${item.task} belongs to another ledger (generation ${item.generation}).`,
  action: 'Kill it and forget it; this ledger does not know it.',
});

const decideOpen = (item: InventoryItem, task: TaskRow): Decision => {
  // Whoever started or finished had its accept answered: the journal is right, whatever the ledger says.
  if (item.state !== 'Accepted') return 'Hold';
  if (task.state === 'Offered') return offerExpired(item);
  // A journal that is behind the runner's own report was restored: it must not start this again.
  return task.started_at === null ? 'Hold' : wrongState(item, 'started again', task.state);
};

const decideItem = (item: InventoryItem, task: TaskRow | undefined, by: Speaker): Decision => {
  if (task?.epoch !== item.epoch || task.runner !== by.clientId) return notHeld(item, by);
  if (openAttemptStates.has(task.state)) return decideOpen(item, task);
  const deliver = terminalStates.has(task.state) && item.state === 'Finished';
  if (task.reason === 'Poisoned' && !deliver) return poisoned(item);
  return deliver ? 'Deliver' : wrongState(item, 'continued', task.state);
};

/** Its result is recorded, and the task has gone on from it, or waits for an answer to how far it got. */
const hasTold = async (tx: Tx, item: InventoryItem): Promise<boolean> => {
  const attempt = await readAttempt(tx, item);
  return attempt !== undefined && attempt.result_digest !== null;
};

const decide = (
  item: InventoryItem,
  task: TaskRow | undefined,
  at: { by: Speaker; meta: LedgerMeta },
): Decision => {
  const { generation, formerGenerations, recovery } = at.meta;
  const isFormer = formerGenerations.includes(item.generation);
  if (isFormer && recovery !== null && task !== undefined && mayVouch(item, task)) return 'Vouch';
  // What was vouched for keeps the generation of its journal; no epoch of one generation comes again in another.
  const isKnown = isFormer || item.generation === generation;
  return isKnown ? decideItem(item, task, at.by) : otherGeneration(item);
};

const hold = async (
  changes: Changes,
  command: OpenSession,
  item: InventoryItem,
  task: TaskRow,
): Promise<void> => {
  const { by, now, leaseExpiresAt } = command;
  const startedAt = item.state === 'Accepted' ? null : (task.started_at ?? now);
  const claimedAt = task.claimed_at ?? now;
  await updateAttempt(changes.tx, item, { claimed_at: claimedAt, started_at: startedAt });
  const change = {
    ...toHeld(by.session, leaseExpiresAt, startedAt),
    claimed_at: claimedAt,
    offer_expires_at: null,
  };
  await changes.move(task, change, 'Vouched');
};

/** Held for this key and not in its journal: an offer was never accepted, anything else may be running. */
const giveUpMissing = async (
  changes: Changes,
  command: OpenSession,
  kept: ReadonlySet<string>,
): Promise<void> => {
  const { by, now } = command;
  for (const row of await heldBy(changes.tx, by)) {
    if (kept.has(row.id) || row.state === 'Unknown') continue;
    if (row.state === 'Offered') {
      await endOpenAttempts(changes.tx, [row.id], 'Superseded', now);
      await settleLock(changes.tx, row, 'Unstarted', now);
      await changes.move(row, backToReady(row, now), 'Unaccepted');
      continue;
    }
    const message = `Runner ${by.runnerName} opened a new session, and its journal does not list this as held.`;
    await changes.move(row, toUnknown(now, 'NotInJournal', message), 'Silence');
  }
};

/** What a restored ledger says of this runner is for recovery to find out. */
const heldBy = (tx: Tx, by: Speaker): Promise<readonly TaskRow[]> =>
  tx.sql
    .selectFrom('tasks')
    .selectAll()
    .where('runner', '=', by.clientId)
    .where(isOneOf(['Offered', 'Claimed', 'Running', 'Unknown']))
    .where('uncertain', '=', 0)
    .orderBy('id')
    .execute();

/** The process that has died had held this for so long that the task is not what ended it. */
const outlived = (row: TaskRow, openedAt: Millis, now: Millis): boolean =>
  (row.unknown_since ?? now) - Math.max(openedAt, row.claimed_at ?? now) >= steadyMs;

/**
 * The process that held these has died. What has its result in the journal ended well; a task that three processes did not
 * survive is not given to a fourth.
 * @param openedAt When the session of that process was opened.
 */
const countCrashes = async (changes: Changes, command: OpenSession, openedAt: Millis): Promise<void> => {
  const { tx, now } = changes;
  const finished = new Set(
    command.inventory.filter(({ state }) => state === 'Finished').map(({ task }) => task),
  );
  for (const row of await heldBy(tx, command.by)) {
    if (row.state === 'Offered' || finished.has(row.id) || outlived(row, openedAt, now)) continue;
    const crash = withCrash(row);
    if (!isPoisoned(crash)) {
      await changes.move(row, crash, 'Crash');
      continue;
    }
    const counted = await endAttempt(tx, row, { ending: 'Poisoned', how: 'Unconfirmed' }, now);
    const why = { reason: 'Poisoned', message: poisonedMessage(row) };
    await changes.move(row, { ...toTerminal('Failed', now, why), ...crash, ...counted }, 'Crash');
  }
};

/** An epoch that this ledger has not given out, of its own generation: it is a copy that was put back. */
const isAhead = (item: InventoryItem, task: TaskRow | undefined, meta: LedgerMeta): boolean =>
  item.generation === meta.generation && task !== undefined && item.epoch > task.epoch;

/** `logOffset` is 0 in every answer: the log store knows it, not the ledger. */
export const openSession = async (
  tx: Tx,
  command: OpenSession,
): Promise<Changed & { answers: readonly InventoryAnswer[]; ahead: readonly AttemptRef[] }> => {
  const { by, now, hello } = command;
  await tx.lock('meta', 'Shared');
  const meta = await readMeta(tx);
  const { replaced } = await supersedeSessions(tx, by, { now, hello });
  const changes = new Changes(tx, now);
  if (replaced !== undefined) await countCrashes(changes, command, replaced);
  const kept = new Set<string>();
  const answers: InventoryAnswer[] = [];
  const ahead: AttemptRef[] = [];
  for (const item of command.inventory) {
    const task = await findTask(tx, item.task);
    const decision = decide(item, task, { by, meta });
    const answer = { task: item.task, epoch: item.epoch, logOffset: 0 };
    if (isAhead(item, task, meta)) ahead.push({ task: item.task, epoch: item.epoch });
    if (typeof decision === 'object') {
      answers.push({ ...answer, decision: 'Abandon', error: decision });
      continue;
    }
    answers.push({ ...answer, decision: 'Continue' });
    if (decision === 'Deliver' || task === undefined || (await hasTold(tx, item))) continue;
    if (decision === 'Vouch') await vouch(changes, command, item, task);
    else await hold(changes, command, item, task);
    kept.add(task.id);
  }
  await giveUpMissing(changes, command, kept);
  return { tasks: await settle(changes), answers, ahead };
};
