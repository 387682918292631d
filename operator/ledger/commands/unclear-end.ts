import type { ErrorCode, TaskResult } from '@outrider/protocol';
import type { TaskRow } from '../tables.ts';
import type { Changes } from './changes.ts';
import { askMessage, startProbe } from './probes.ts';
import { toAwaitingHuman } from './transitions.ts';

/** Reasons of results that say that an attempt is over, and not how far it got. */
const unclearEnds: ReadonlySet<string> = new Set<ErrorCode>([
  'Lost',
  'ConnectionLost',
  'TargetRestarted',
  'SpoolLost',
  'ExecutorCrashed',
]);

/** Whether a result leaves open what the step's `onLost` has an answer to. A cancelled run asks nobody. */
export const isUnclear = (task: TaskRow, { outcome, reason }: TaskResult): boolean =>
  outcome === 'Failed' &&
  unclearEnds.has(reason ?? '') &&
  task.cancel_requested === 0 &&
  (task.on_lost === 'Ask' || (task.on_lost === 'Verify' && task.verify !== null));

/**
 * Asks the probe or a person, as when the runner had not come back; whoever is being asked already goes on.
 *
 * @param task As the result has it: when it started, how many ends are unconfirmed.
 */
export const askAbout = async (changes: Changes, task: TaskRow, { message }: TaskResult): Promise<void> => {
  const { state, started_at, unconfirmed, uncertain } = task;
  const told = { started_at, unconfirmed, uncertain };
  if (state === 'Verifying' || state === 'AwaitingHuman') {
    await changes.move(task, { state, ...told }, 'Result');
    return;
  }
  const why = message ?? `Nobody knows how attempt ${task.epoch} ended.`;
  if (task.on_lost === 'Verify' && task.verify !== null)
    return startProbe(changes, task, { verify: task.verify, cause: 'Result', why, told });
  const ask = { reason: 'AwaitingHuman', message: askMessage(task, why) };
  await changes.move(task, { ...toAwaitingHuman(changes.now, ask), ...told }, 'Result');
};
