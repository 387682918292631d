import type { AttemptRef, InventoryItem, RecoveredResult } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import { resultDigest } from '../digest.ts';
import { terminalStates, type Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { endOpenAttempts, insertAttempt, readAttempt, updateAttempt } from './attempts.ts';
import { Changes, findTask } from './changes.ts';
import { settleLock, takeLock } from './locks.ts';
import { readMeta } from './meta.ts';
import { settle } from './probes.ts';
import { requireSpeaker } from './sessions.ts';
import { toHeld, toTerminal } from './transitions.ts';
import { isUnclear } from './unclear-end.ts';

/** A restored task that nobody has vouched for at this epoch: what the journal says is later than what the copy says. */
export const mayVouch = (ref: AttemptRef, task: TaskRow): boolean => {
  if (terminalStates.has(task.state)) return false;
  return task.uncertain === 1 ? ref.epoch >= task.epoch : ref.epoch > task.epoch;
};

/** The attempt's row, which the copy may not have yet; another one that the copy has open is over. */
const restoreAttempt = async (tx: Tx, ref: AttemptRef, by: Speaker, now: Millis): Promise<void> => {
  const held = { runner: by.clientId, runner_name: by.runnerName, session: by.session };
  const known = await readAttempt(tx, ref);
  if (known === undefined || known.ended_at !== null || known.runner !== by.clientId)
    await endOpenAttempts(tx, [ref.task], 'Superseded', now);
  if (known === undefined) await insertAttempt(tx, { task: ref.task, epoch: ref.epoch, ...held, now });
  await updateAttempt(tx, ref, {
    ...held,
    claimed_at: known?.claimed_at ?? now,
    ended_at: null,
    ending: null,
  });
};

const holder = (by: Speaker, ref: AttemptRef) => ({
  epoch: ref.epoch,
  runner: by.clientId,
  runner_name: by.runnerName,
  session: by.session,
  offer_expires_at: null,
  not_before: null,
  uncertain: 0,
});

/** In recovery: the task is held at the epoch that the journal says. */
export const vouch = async (
  changes: Changes,
  command: { by: Speaker; now: Millis; leaseExpiresAt: Millis },
  item: InventoryItem,
  task: TaskRow,
): Promise<void> => {
  const { tx } = changes;
  const { by, now, leaseExpiresAt } = command;
  const startedAt = item.state === 'Accepted' ? null : (task.started_at ?? now);
  await restoreAttempt(tx, item, by, now);
  await updateAttempt(tx, item, { started_at: startedAt });
  await takeLock(tx, { ...task, epoch: item.epoch - 1, lock_max: Infinity }, now);
  const change = {
    ...toHeld(by.session, leaseExpiresAt, startedAt),
    ...holder(by, item),
    claimed_at: task.claimed_at ?? now,
    ready_at: task.ready_at ?? now,
  };
  await changes.move(task, change, 'Recovered');
};

/**
 * A failed attempt with retries left may have been followed by another, which only its own runner can tell of; one whose result
 * leaves open how far it got is for a person.
 */
const isFinal = (item: RecoveredResult, task: TaskRow): boolean => {
  const { outcome } = item.result;
  if (outcome === 'Succeeded' || outcome === 'Cancelled') return true;
  return task.retries_left === 0 && !isUnclear(task, item.result);
};

/** The copy has its result, and has gone on from it. */
const isKnown = async (tx: Tx, ref: AttemptRef): Promise<boolean> => {
  const attempt = await readAttempt(tx, ref);
  return attempt !== undefined && attempt.result_digest !== null;
};

const endTask = async (
  changes: Changes,
  by: Speaker,
  item: RecoveredResult,
  task: TaskRow,
): Promise<void> => {
  const { tx, now } = changes;
  const { outcome, reason = null, message = null } = item.result;
  const unconfirmed = item.result.unconfirmed === true ? 1 : 0;
  const startedAt = Date.parse(item.result.startedAt);
  const result = JSON.stringify(item.result);
  await restoreAttempt(tx, item, by, now);
  await updateAttempt(tx, item, {
    started_at: startedAt,
    ended_at: now,
    ending: outcome,
    result,
    result_digest: resultDigest(item.result),
    result_at: now,
    unconfirmed,
  });
  await settleLock(tx, task, unconfirmed === 1 ? 'Unconfirmed' : 'Confirmed', now);
  const change = {
    ...holder(by, item),
    ...toTerminal(outcome, now, { reason, message }),
    started_at: startedAt,
    result,
    unconfirmed: task.unconfirmed + unconfirmed,
  };
  await changes.move(task, change, 'Recovered');
};

const recordOne = async (changes: Changes, by: Speaker, item: RecoveredResult): Promise<boolean> => {
  const task = await findTask(changes.tx, item.task);
  if (task === undefined || task.uncertain !== 1) return false;
  if (!mayVouch(item, task) || !isFinal(item, task) || (await isKnown(changes.tx, item))) return false;
  await endTask(changes, by, item, task);
  return true;
};

/** @throws OutriderError SessionUnknown, SessionSuperseded */
export const recordRecovery = async (
  tx: Tx,
  command: { by: Speaker; items: readonly RecoveredResult[]; now: Millis },
): Promise<Changed & { accepted: number }> => {
  await tx.lock('meta', 'Shared');
  const { recovery, generation, formerGenerations } = await readMeta(tx);
  await requireSpeaker(tx, command.by);
  if (recovery === null) return { tasks: [], accepted: 0 };
  const known = new Set([generation, ...formerGenerations]);
  const changes = new Changes(tx, command.now);
  let accepted = 0;
  for (const item of command.items)
    if (known.has(item.generation) && (await recordOne(changes, command.by, item))) accepted += 1;
  return { tasks: await settle(changes), accepted };
};
