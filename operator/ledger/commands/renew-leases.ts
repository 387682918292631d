import type { AttemptRef } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { TaskRow, Tx } from '../tables.ts';
import { Changes, findTask, updateTask } from './changes.ts';
import { requireSpeaker } from './sessions.ts';
import { toHeld } from './transitions.ts';

interface RenewLeases {
  by: Speaker;
  attempts: readonly AttemptRef[];
  leaseExpiresAt: Millis;
}

/** Its own and nothing to renew: an accept on its way, or a result whose answer is. */
const ownWithoutLease = (task: TaskRow): boolean => task.state === 'Offered' || task.result !== null;

const renewOne = async (
  tx: Tx,
  command: RenewLeases,
  ref: AttemptRef,
  changes: Changes,
): Promise<boolean> => {
  const { by, leaseExpiresAt } = command;
  const task = await findTask(tx, ref.task);
  if (task?.epoch !== ref.epoch || task.runner !== by.clientId || task.session !== by.session) return false;
  if (task.state === 'Claimed' || task.state === 'Running') {
    changes.touched(await updateTask(tx, task, { lease_expires_at: leaseExpiresAt }));
    return true;
  }
  if (task.state === 'Unknown') {
    // The runner that was not heard of in time vouches for it again.
    changes.changed(await updateTask(tx, task, toHeld(by.session, leaseExpiresAt, task.started_at)));
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
  const changes = new Changes();
  const lost: AttemptRef[] = [];
  for (const ref of command.attempts) {
    if (!(await renewOne(tx, command, ref, changes))) lost.push({ task: ref.task, epoch: ref.epoch });
  }
  return { tasks: await changes.settle(tx), lost };
};
