import type { Changed, Speaker } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { Tx } from '../tables.ts';
import { insertAttempt } from './attempts.ts';
import { Changes, findTask, updateTask } from './changes.ts';
import { requireSpeaker } from './sessions.ts';
import { toOffered } from './transitions.ts';

interface OfferTasks {
  to: Speaker;
  tasks: readonly { task: string; epoch: number }[];
  now: Millis;
  expiresAt: Millis;
}

/** @throws OutriderError SessionUnknown or SessionSuperseded: then the tasks stay Ready for another runner. */
export const offerTasks = async (
  tx: Tx,
  command: OfferTasks,
): Promise<Changed & { refused: readonly string[] }> => {
  await requireSpeaker(tx, command.to);
  const changes = new Changes();
  const refused: string[] = [];
  for (const { task, epoch } of command.tasks) {
    const read = await findTask(tx, task);
    if (read?.state !== 'Ready' || read.epoch !== epoch || read.cancel_requested === 1) {
      refused.push(task);
      continue;
    }
    const offered = await updateTask(tx, read, toOffered(read, command.to, command.expiresAt));
    await insertAttempt(tx, offered, command.now);
    changes.changed(offered);
  }
  return { tasks: await changes.settle(tx), refused };
};
