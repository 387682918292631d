import { OutriderError } from '@outrider/protocol';
import type { TaskRecord } from '../ledger/records.ts';

/** Thrown when a runner names another ledger generation: the ledger was restored or replaced. */
export const generationMismatch = (): OutriderError =>
  new OutriderError({
    code: 'GenerationMismatch',
    message:
      "The operator's ledger is not the one that this runner last spoke with: it was restored or replaced.",
    action: 'Open a new session with the inventory of the journal.',
  });

/** Thrown when a key was revoked: in the middle of an open poll, too. */
export const revoked = ({ namespace, name }: { namespace: string; name: string }): OutriderError =>
  new OutriderError({
    code: 'RunnerRevoked',
    message: `Runner ${namespace}/${name} was revoked; its key is refused.`,
    action:
      'To use this machine again, remove the state folder of the runner and join under another name with a new token.',
  });

/** Thrown when secrets are asked for outside Claimed or Running at the current epoch. */
export const notHeld = (
  request: { task: string; epoch: number },
  task: TaskRecord | undefined,
): OutriderError =>
  new OutriderError({
    code: task && task.epoch !== request.epoch ? 'EpochMismatch' : 'StateMismatch',
    message: `This runner does not hold task ${request.task} at epoch ${request.epoch}${task ? ` (it is ${task.state} at epoch ${task.epoch})` : ''}, so no credential is given out for it.`,
    action: 'Drop the attempt: the operator has moved on.',
  });
