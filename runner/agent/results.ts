import {
  attemptKey,
  describeProblem,
  encodeFrame,
  type AttemptRef,
  type Problem,
  type TaskResult,
} from '@outrider/protocol';
import type { Journal } from '../journal/contract.ts';
import type { Attempt, Attempts, AttemptStop } from './attempts.ts';
import type { LogLoop } from './log-loop.ts';
import type { Logger } from './log.ts';
import { problemFields } from './log.ts';
import type { Reports } from './report-loop.ts';

export type UnloggedResult = Omit<TaskResult, 'log' | 'finishedAt'>;

const maxMessage = 1024;

/** How an attempt ended that failed before, or outside of, its executor. */
export const failedResult = (problem: Problem, startedAt: string): UnloggedResult => ({
  outcome: 'Failed',
  reason: problem.code,
  message: describeProblem(problem).slice(0, maxMessage),
  startedAt,
});

/** How an attempt ends that a restarted runner cannot get at any more. */
export const unreachedResult = (problem: Problem, startedAt: string): UnloggedResult => ({
  outcome: 'Failed',
  reason: problem.code,
  message:
    `The runner was restarted while this ran, and cannot go on with it: ${describeProblem(problem)} It may still run.`.slice(
      0,
      maxMessage,
    ),
  unconfirmed: true,
  startedAt,
});

/** How an attempt ended that was stopped before its executor was entered. */
export const stoppedResult = (reason: AttemptStop, startedAt: string): UnloggedResult => {
  if (reason === 'LeaseLost')
    return {
      outcome: 'Failed',
      reason: 'Lost',
      message: `${leaseLost} Nothing of it had run.`,
      startedAt,
    };
  const outcome = reason === 'TimedOut' ? 'TimedOut' : 'Cancelled';
  return { outcome, reason: outcome, message: 'It was stopped before anything ran.', startedAt };
};

const leaseLost =
  'The runner could not renew the lease of this attempt, so it ended it: the operator may run the step elsewhere.';

/** What the executor says of an attempt that was ended for its lease. One that came to its own end before stands. */
export const leaseLostResult = (result: TaskResult): TaskResult => {
  if (result.outcome !== 'Cancelled') return result;
  const rest =
    result.unconfirmed === true
      ? `Whether all of it ended could not be checked: ${result.message ?? 'the executor did not say why.'}`
      : 'Nothing of it is left running. How far it got is not known.';
  return {
    ...result,
    outcome: 'Failed',
    reason: 'Lost',
    message: `${leaseLost} ${rest}`.slice(0, maxMessage),
  };
};

export interface Results {
  /** Seals the log and completes the result; a log that the disk does not take is named without a digest. Never rejects. */
  seal(ref: AttemptRef, result: UnloggedResult): Promise<TaskResult>;
  /** A line in the attempt's log by the product itself; only where no executor has written. Never rejects. */
  note(ref: AttemptRef, text: string): Promise<void>;
  /** Journals a result, frees the slot and reports it until it is acknowledged. */
  finish(attempt: Attempt, result: TaskResult, startLatencyUs?: number): Promise<void>;
  /** Reports a result that the journal holds already. */
  report(attempt: Attempt, result: TaskResult, startLatencyUs?: number): void;
}

export const createResults = (options: {
  journal: Journal;
  attempts: Attempts;
  reports: Reports;
  logs: LogLoop;
  logger: Logger;
}): Results => {
  const { journal, attempts, reports, logs, logger } = options;

  const deliver = async (attempt: Attempt, result: TaskResult, startLatencyUs?: number): Promise<void> => {
    const answer = await reports.send({
      ...attempt.ref,
      kind: 'Result',
      result,
      ...(startLatencyUs === undefined ? {} : { startLatencyUs }),
    });
    if (answer === undefined) return;
    if (answer.status === 'Refused' && answer.error?.code === 'result_conflict') {
      // Kept in the journal as evidence: two results of one attempt must never be silently resolved.
      logger.error('the operator holds another result of this attempt', {
        attempt: attempt.key,
        ...problemFields({ ...answer.error, code: 'result_conflict' }),
      });
      attempts.remove(attempt);
      return;
    }
    if (answer.status === 'Refused') {
      const reason = answer.error?.message ?? 'no reason given';
      logger.warn('the operator no longer wants this result', { attempt: attempt.key, reason });
      attempt.logRefused = true;
      await journal.acknowledged(attempt.ref).catch((error: unknown) => {
        logger.warn('could not mark a result as no longer wanted', {
          attempt: attempt.key,
          reason: String(error),
        });
      });
    }
    attempt.resultAcknowledged = true;
    await attempts.settle(attempt);
    logs.wake();
  };

  const report: Results['report'] = (attempt, result, startLatencyUs) => {
    attempt.logLength = result.log.length;
    attempts.enter(attempt, 'Finished');
    logs.wake();
    deliver(attempt, result, startLatencyUs).catch((error: unknown) => {
      logger.error('a result could not be settled', { attempt: attempt.key, reason: String(error) });
    });
  };

  return {
    seal: async (ref, result) => ({
      ...result,
      finishedAt: new Date().toISOString(),
      // An attempt that has started ends with a result, whatever the disk says: its slot and its lease must not be held for ever.
      log: await journal.sealLog(ref).catch((error: unknown) => {
        logger.error('the end of a log could not be journalled', {
          attempt: attemptKey(ref),
          reason: String(error),
        });
        return { length: journal.logLength(ref), sha256: '' };
      }),
    }),
    note: async (ref, text) => {
      const ts = BigInt(Date.now()) * 1000n;
      const frame = encodeFrame({ seq: 0, stream: 'system', ts, payload: Buffer.from(`${text}\n`) });
      await journal.append(ref, frame).catch((error: unknown) => {
        logger.warn('a line could not be journalled', { attempt: attemptKey(ref), reason: String(error) });
      });
    },
    finish: async (attempt, result, startLatencyUs) => {
      await journal.finished(attempt.ref, result).catch((error: unknown) => {
        // The result still reaches the operator as long as this process lives.
        logger.error('a result could not be journalled', { attempt: attempt.key, reason: String(error) });
      });
      logger.info('finished', { attempt: attempt.key, outcome: result.outcome });
      report(attempt, result, startLatencyUs);
    },
    report,
  };
};
