import type { Millis } from '../records.ts';
import type { TaskRow } from '../tables.ts';
import { endAttempt } from './attempts.ts';
import type { Changes } from './changes.ts';
import { isPoisoned, poisonedMessage, retried, withCrash } from './policies.ts';
import { askMessage, startProbe } from './probes.ts';
import { toAwaitingHuman, toTerminal } from './transitions.ts';

interface Graces {
  readonly graceMs: number;
  readonly killGraceMs: number;
}

const at = (time: Millis | null): string =>
  time === null ? 'an unknown time' : new Date(time).toISOString();

const lostSince = (task: TaskRow): string =>
  `Runner ${task.runner_name} has held this since ${at(task.claimed_at)} and has not been heard of since ` +
  `${at(task.unknown_since)}; ${task.started_at === null ? 'it may have started' : `it started at ${at(task.started_at)}`} ` +
  'and nobody knows how it ended.';

export const lostMessage = (task: TaskRow): string =>
  `${lostSince(task)} Check ${task.target === '' ? 'its target' : task.target} and the runner's journal, then start a new run if the work is not done.`;

const lose = async (changes: Changes, task: TaskRow): Promise<void> => {
  const { tx, now } = changes;
  const counted = await endAttempt(tx, task, { ending: 'Lost', how: 'Unconfirmed' }, now);
  const change = toTerminal('Lost', now, { reason: 'Lost', message: lostMessage(task) });
  await changes.move(task, { ...change, ...counted }, 'Policy');
};

/** The runner has ended its own work by then. Nobody has seen it, so the place stays the task's until the next attempt has ended. */
const retry = async (changes: Changes, task: TaskRow): Promise<void> => {
  const { tx, now } = changes;
  const crash = withCrash(task);
  const poisoned = isPoisoned(crash);
  const counted = await endAttempt(
    tx,
    task,
    { ending: poisoned ? 'Poisoned' : 'Retried', how: 'Unconfirmed' },
    now,
  );
  const change = poisoned
    ? toTerminal('Failed', now, { reason: 'Poisoned', message: poisonedMessage(task) })
    : retried(task, now, `Attempt ${task.epoch} was lost with runner ${task.runner_name}.`);
  await changes.move(task, { ...change, ...counted, ...crash }, 'Policy');
};

const mayRetry = (task: TaskRow): boolean =>
  task.on_lost === 'Retry' && task.retries_left > 0 && task.cancel_requested === 0;

/** The lease as it was last promised to the runner, even if the runner was given up before its end. */
const killedBy = (task: TaskRow, killGraceMs: number): Millis =>
  Math.max(task.unknown_since ?? 0, task.lease_expires_at ?? 0) + killGraceMs;

/**
 * Does what the step's `onLost` says about a task that has been Unknown for long enough. A cancelled run asks nobody and
 * tries nothing again: what was lost under it is Lost.
 */
export const actOnLost = async (changes: Changes, task: TaskRow, graces: Graces): Promise<void> => {
  const { now } = changes;
  if (mayRetry(task)) {
    if (killedBy(task, graces.killGraceMs) <= now) await retry(changes, task);
    return;
  }
  if ((task.unknown_since ?? 0) + graces.graceMs > now) return;
  if (task.cancel_requested === 1) return lose(changes, task);
  if (task.on_lost === 'Verify' && task.verify !== null) {
    const why = `Runner ${task.runner_name} was lost with attempt ${task.epoch}.`;
    return startProbe(changes, task, { verify: task.verify, cause: 'Policy', why });
  }
  if (task.on_lost !== 'Ask') return lose(changes, task);
  const message = askMessage(task, lostSince(task));
  await changes.move(task, toAwaitingHuman(now, { reason: 'AwaitingHuman', message }), 'Policy');
};
