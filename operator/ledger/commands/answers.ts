import type { AttemptAnswer, AttemptRef, ErrorCode, Problem } from '@outrider/protocol';
import type { Speaker } from '../ledger.ts';
import type { AttemptRow } from '../tables.ts';

const ref = ({ task, epoch }: AttemptRef): AttemptRef => ({ task, epoch });

export const recorded = (attempt: AttemptRef): AttemptAnswer => ({ ...ref(attempt), status: 'Recorded' });
export const duplicate = (attempt: AttemptRef): AttemptAnswer => ({ ...ref(attempt), status: 'Duplicate' });
export const refused = (attempt: AttemptRef, error: Problem): AttemptAnswer => ({
  ...ref(attempt),
  status: 'Refused',
  error,
});

const problem = (code: ErrorCode, message: string, action: string): Problem => ({ code, message, action });

const drop = 'Do not start it; if it runs, kill it and forget it.';

export const notHeld = (attempt: AttemptRef, by: Speaker): Problem =>
  problem(
    'EpochMismatch',
    `Epoch ${attempt.epoch} of task ${attempt.task} was not given to runner ${by.runnerName}.`,
    drop,
  );

export const offerExpired = (attempt: AttemptRef): Problem =>
  problem(
    'OfferExpired',
    `The offer of epoch ${attempt.epoch} of task ${attempt.task} expired before it was accepted.`,
    drop,
  );

export const cancelled = (attempt: AttemptRef): Problem =>
  problem(
    'Cancelled',
    `The run of task ${attempt.task} was cancelled before epoch ${attempt.epoch} was accepted.`,
    drop,
  );

export const uncertain = (attempt: AttemptRef): Problem =>
  problem(
    'RecoveryActive',
    `The ledger was restored from a copy, and the offer of epoch ${attempt.epoch} of task ${attempt.task} is older than that.`,
    drop,
  );

export const poisoned = (attempt: AttemptRef): Problem =>
  problem(
    'Poisoned',
    `Epoch ${attempt.epoch} of task ${attempt.task} was given up: the processes of three runners died while they held it.`,
    drop,
  );

export const wrongState = (attempt: AttemptRef, what: string, state: string): Problem =>
  problem(
    'StateMismatch',
    `Epoch ${attempt.epoch} of task ${attempt.task} cannot be ${what}: it is ${state}.`,
    drop,
  );

export const resultConflict = (attempt: AttemptRef): Problem =>
  problem(
    'result_conflict',
    `Another result of epoch ${attempt.epoch} of task ${attempt.task} is recorded, and a result never changes.`,
    'Keep the recorded one. Two processes with one journal are the usual cause: give every replica its own.',
  );

export const resultMissing = (attempt: AttemptRef): Problem =>
  problem(
    'BadRequest',
    `The result of epoch ${attempt.epoch} of task ${attempt.task} has no content.`,
    'Send `result` with it.',
  );

/** Why an attempt that is over takes no accept, start or release any more. */
export const overProblem = (attempt: AttemptRow, what: string): Problem => {
  if (attempt.ending === 'Expired') return offerExpired(attempt);
  if (attempt.ending === 'Withdrawn') return cancelled(attempt);
  return wrongState(attempt, what, attempt.ending ?? 'open');
};
