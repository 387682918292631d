import type { AttemptAnswer, Report } from '@outrider/protocol';
import type { Changed, Speaker } from '../ledger.ts';
import type { Millis, TaskState } from '../records.ts';
import type { AttemptRow, TaskRow, Tx } from '../tables.ts';
import { duplicate, notHeld, overProblem, recorded, refused, wrongState } from './answers.ts';
import { readAttempt, updateAttempt } from './attempts.ts';
import { Changes, findTask } from './changes.ts';
import { settleLock } from './locks.ts';
import { settle } from './probes.ts';
import { recordResult } from './record-result.ts';
import { speakerProblem } from './sessions.ts';
import { backToReady, toTerminal } from './transitions.ts';

interface RecordReports {
  by: Speaker;
  reports: readonly Report[];
  now: Millis;
}

/** A report with what the ledger knows of its attempt. */
export interface ReportContext {
  readonly tx: Tx;
  readonly now: Millis;
  readonly report: Report;
  readonly attempt: AttemptRow;
  readonly task: TaskRow;
  readonly changes: Changes;
}

const mayHaveStarted: ReadonlySet<TaskState> = new Set(['Claimed', 'Unknown', 'Verifying', 'AwaitingHuman']);

/**
 * Claimed → Running. A task that is Unknown, or what follows it, keeps its state, since only a renewal or a new session gives it a lease, but what is
 * known of its start is written down.
 */
const recordStarted = async (context: ReportContext): Promise<AttemptAnswer> => {
  const { tx, now, report, attempt, task, changes } = context;
  if (attempt.started_at !== null && attempt.ending !== 'Lost') return duplicate(report);
  if (attempt.ended_at !== null) return refused(report, overProblem(attempt, 'started'));
  if (!mayHaveStarted.has(task.state)) return refused(report, wrongState(report, 'started', task.state));
  const state = task.state === 'Claimed' ? 'Running' : task.state;
  await changes.move(task, { state, started_at: now }, 'Started');
  await updateAttempt(tx, report, { started_at: now });
  return recorded(report);
};

/** Offered → Ready; Claimed, or Unknown and what follows it when nothing started → Ready, or Cancelled when that was asked for. */
const recordReleased = async (context: ReportContext): Promise<AttemptAnswer> => {
  const { tx, now, report, attempt, task, changes } = context;
  if (attempt.ending === 'Released') return duplicate(report);
  if (attempt.ended_at !== null) return refused(report, overProblem(attempt, 'released'));
  if (attempt.started_at !== null) return refused(report, wrongState(report, 'released', task.state));
  const why = { reason: 'Cancelled', message: `Cancelled before runner ${attempt.runner_name} started it.` };
  const isCancelled = task.cancel_requested === 1 && task.state !== 'Offered';
  const change = isCancelled ? toTerminal('Cancelled', now, why) : backToReady(task, now);
  await updateAttempt(tx, report, { ending: 'Released', ended_at: now });
  await settleLock(tx, task, 'Unstarted', now);
  await changes.move(task, change, 'Released');
  return recorded(report);
};

const recordOne = async (
  tx: Tx,
  command: RecordReports,
  report: Report,
  changes: Changes,
): Promise<AttemptAnswer> => {
  const { by, now } = command;
  const attempt = await readAttempt(tx, report);
  const task = await findTask(tx, report.task);
  if (attempt === undefined || task === undefined || attempt.runner !== by.clientId) {
    return refused(report, notHeld(report, by));
  }
  const context: ReportContext = { tx, now, report, attempt, task, changes };
  if (report.kind === 'Started') return recordStarted(context);
  if (report.kind === 'Released') return recordReleased(context);
  return recordResult(context);
};

export const recordReports = async (
  tx: Tx,
  command: RecordReports,
): Promise<Changed & { answers: readonly AttemptAnswer[] }> => {
  const problem = await speakerProblem(tx, command.by);
  if (problem !== undefined)
    return { tasks: [], answers: command.reports.map((report) => refused(report, problem)) };
  const changes = new Changes(tx, command.now);
  const answers: AttemptAnswer[] = [];
  for (const report of command.reports) answers.push(await recordOne(tx, command, report, changes));
  return { tasks: await settle(changes), answers };
};
