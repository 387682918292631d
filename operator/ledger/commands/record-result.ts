import type { AttemptAnswer, Report, TaskResult } from '@outrider/protocol';
import type { Updateable } from 'kysely';
import { resultDigest } from '../digest.ts';
import type { Millis } from '../records.ts';
import type { AttemptRow, TaskRow, TasksTable, Tx } from '../tables.ts';
import {
  duplicate,
  overProblem,
  recorded,
  refused,
  resultConflict,
  resultMissing,
  wrongState,
} from './answers.ts';
import { updateAttempt } from './attempts.ts';
import { insertAudit } from './audit.ts';
import type { Changes } from './changes.ts';
import { freeUnconfirmed, settleLock } from './locks.ts';
import { retried } from './policies.ts';
import { toTerminal } from './transitions.ts';
import { askAbout, isUnclear } from './unclear-end.ts';

interface ResultContext {
  readonly tx: Tx;
  readonly now: Millis;
  readonly report: Report;
  readonly attempt: AttemptRow;
  readonly task: TaskRow;
  readonly changes: Changes;
}

/** By the runner's clock, since its `started` may have been lost; the operator's when that cannot be read. */
const startOf = (attempt: AttemptRow, result: TaskResult, now: Millis): Millis => {
  const told = Date.parse(result.startedAt);
  return attempt.started_at ?? (Number.isNaN(told) ? now : told);
};

/** The ledger had given the attempt up: the task stays as it is, and a person finds the result in the audit trail. */
const keepEvidence = async (context: ResultContext, result: TaskResult): Promise<AttemptAnswer> => {
  const { tx, now, report, attempt, task } = context;
  const { runUid: run_uid, namespace, run } = JSON.parse(task.spec);
  await insertAudit(tx, {
    at: now,
    actor: `runner/${attempt.runner_name}`,
    action: 'LateResult',
    object: `WorkflowRun/${namespace}/${run}`,
    details: { runUid: run_uid, task: task.id, epoch: report.epoch, state: task.state, result },
  });
  return recorded(report);
};

/** Not what was cancelled, and not what may still be running. */
const mayRetry = (task: TaskRow, { outcome, unconfirmed }: TaskResult): boolean =>
  (outcome === 'Failed' || outcome === 'TimedOut') &&
  task.retries_left > 0 &&
  task.cancel_requested === 0 &&
  unconfirmed !== true;

const failureOf = (epoch: number, { outcome, message, reason }: TaskResult): string =>
  `Attempt ${epoch} ended ${outcome}: ${message ?? reason ?? 'no reason was given.'}`;

const ended = (result: TaskResult, at: { now: Millis; startedAt: Millis }): Updateable<TasksTable> => ({
  ...toTerminal(result.outcome, at.now, { reason: result.reason ?? null, message: result.message ?? null }),
  started_at: at.startedAt,
  result: JSON.stringify(result),
});

/** What the task becomes of the first result of an open attempt. */
const endTask = async (context: ResultContext, result: TaskResult): Promise<AttemptAnswer> => {
  const { tx, now, report, attempt, task, changes } = context;
  const startedAt = startOf(attempt, result, now);
  const isUnconfirmed = result.unconfirmed === true;
  await updateAttempt(tx, report, {
    ...contentOf(result, now),
    started_at: startedAt,
    ended_at: now,
    ending: result.outcome,
    unconfirmed: isUnconfirmed ? 1 : 0,
  });
  await settleLock(tx, task, isUnconfirmed ? 'Unconfirmed' : 'Confirmed', now);
  const unconfirmed = task.unconfirmed + (isUnconfirmed ? 1 : 0);
  // A result vouches for a restored task, too.
  const told = { started_at: startedAt, unconfirmed, uncertain: 0 };
  if (isUnclear(task, result)) {
    await askAbout(changes, { ...task, ...told }, result);
    return recorded(report);
  }
  const change = mayRetry(task, result)
    ? retried(task, now, failureOf(report.epoch, result))
    : ended(result, { now, startedAt });
  await changes.move(task, { ...change, unconfirmed, uncertain: 0 }, 'Result');
  return recorded(report);
};

const contentOf = (result: TaskResult, now: Millis) => ({
  result: JSON.stringify(result),
  result_digest: resultDigest(result),
  result_at: now,
});

/** Claimed, Running, or Unknown and what follows it → what the runner says; exactly once by digest. */
export const recordResult = async (context: ResultContext): Promise<AttemptAnswer> => {
  const { tx, now, report, attempt, task } = context;
  const { result } = report;
  if (result === undefined) return refused(report, resultMissing(report));
  if (attempt.result_digest !== null) {
    const isSame = attempt.result_digest === resultDigest(result);
    return isSame ? duplicate(report) : refused(report, resultConflict(report));
  }
  if (attempt.claimed_at === null) {
    const why =
      attempt.ended_at === null
        ? wrongState(report, 'finished', task.state)
        : overProblem(attempt, 'finished');
    return refused(report, why);
  }
  if (attempt.ended_at === null) return endTask(context, result);
  await updateAttempt(tx, report, contentOf(result, now));
  if (result.unconfirmed !== true) await freeUnconfirmed(tx, report);
  return keepEvidence(context, result);
};
