import type { AttemptRef } from '@outrider/protocol';
import type { Changed } from '../ledger.ts';
import type { Millis } from '../records.ts';
import type { Tx } from '../tables.ts';
import { Changes, findTask } from './changes.ts';
import { settle } from './probes.ts';
import { toUnknown } from './transitions.ts';

interface MarkUnknown {
  attempts: readonly AttemptRef[];
  now: Millis;
  reason: string;
}

export const markUnknown = async (tx: Tx, command: MarkUnknown): Promise<Changed> => {
  const { attempts, now, reason } = command;
  const changes = new Changes(tx, now);
  for (const ref of attempts) {
    const task = await findTask(tx, ref.task);
    if (task?.epoch !== ref.epoch || (task.state !== 'Claimed' && task.state !== 'Running')) continue;
    const message = `Runner ${task.runner_name} no longer lists it among what it holds.`;
    await changes.move(task, toUnknown(now, reason, message), 'Silence');
  }
  return { tasks: await settle(changes) };
};
