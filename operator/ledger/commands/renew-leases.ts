import type { AttemptRef } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { readAttempt } from './attempts.ts';
import { Changes, findTask } from './changes.ts';
import { settle } from './probes.ts';
import { requireSpeaker } from './sessions.ts';
import { toHeld } from './transitions.ts';

interface RenewLeases {
  by: Speaker;
  attempts: readonly AttemptRef[];
  leaseExpiresAt: Millis;
}

/** Its own and nothing to renew: an accept on its way, or a result whose answer is. */
const ownWithoutLease = (task: TaskRow): boolean => task.state === 'Offered' || task.result !== null;

/** Nobody has acted on its silence yet, so the runner that holds the epoch may take it up again. */
const isSilent = ({ state, uncertain }: TaskRow): boolean =>
  uncertain === 0 && (state === 'Unknown' || state === 'Verifying' || state === 'AwaitingHuman');

const renewOne = async (changes: Changes, command: RenewLeases, ref: AttemptRef): Promise<boolean> => {
  const { by, leaseExpiresAt } = command;
  const task = await findTask(changes.tx, ref.task);
  if (task?.epoch !== ref.epoch || task.runner !== by.clientId || task.session !== by.session) return false;
  if (task.state === 'Claimed' || task.state === 'Running') {
    await changes.extend(task, leaseExpiresAt);
    return true;
  }
  if (isSilent(task)) {
    // Its result has been told, and left open how far it got.
    if ((await readAttempt(changes.tx, ref))?.ended_at !== null) return true;
    await changes.move(task, toHeld(by.session, leaseExpiresAt, task.started_at), 'Vouched');
    return true;
  }
  return ownWithoutLease(task);
};

/** @throws OutriderError SessionUnknown, SessionSuperseded */
export const renewLeases = async (
  tx: Tx,
  command: RenewLeases,
): Promise<Changed & { lost: readonly AttemptRef[] }> => {
  await requireSpeaker(tx, command.by);
  const changes = new Changes(tx, command.leaseExpiresAt);
  const lost: AttemptRef[] = [];
  for (const ref of command.attempts) {
    if (!(await renewOne(changes, command, ref))) lost.push({ task: ref.task, epoch: ref.epoch });
  }
  return { tasks: await settle(changes), lost };
};
