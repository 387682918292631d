import type { Target, Workflow, WorkflowRun } from '@outrider/kinds';
import type { NewRun, NewTask, RunAndTasks } from '../ledger/records.ts';
import { defaults, durationMs } from './durations.ts';
import { freeze } from './freeze.ts';
import { unstartedStatus, type RunStatusDraft } from './status.ts';

export interface StartInput {
  readonly run: WorkflowRun;
  readonly workflow: Workflow | undefined;
  readonly targets: readonly Target[];
  readonly now: number;
}

/** What to do about a run that the ledger does not know. */
export type StartDecision =
  | { readonly action: 'Ignore' }
  | { readonly action: 'Start'; readonly run: NewRun; readonly tasks: readonly NewTask[] }
  /** Look again at `at` at the latest, or when a workflow or target changes. */
  | { readonly action: 'Wait'; readonly status: RunStatusDraft; readonly at: number }
  | { readonly action: 'End'; readonly status: RunStatusDraft };

const isCompleted = (run: WorkflowRun): boolean =>
  run.status?.conditions?.some(
    (condition) => condition.type === 'Completed' && condition.status === 'True',
  ) ?? false;

const lost =
  'The run had started, and the ledger does not know it: it was restored from a backup or lost its volume. Check on the targets what it did, then start a new run.';

const expired = (run: WorkflowRun, next: string): string =>
  `The run could not start within its startDeadline (${run.spec.startDeadline ?? '24h'}); nothing was executed. ${next}`;

export const startDeadlineOf = (run: WorkflowRun): number =>
  Date.parse(run.metadata.creationTimestamp) +
  (run.spec.startDeadline === undefined ? defaults.startDeadlineMs : durationMs(run.spec.startDeadline));

/**
 * Decides the start of a run. A run that says it had started and is not in the ledger is Lost, never started again;
 * one whose workflow or targets are missing waits until its start deadline, because apply order is free.
 */
export const decideStart = (input: StartInput): StartDecision => {
  const { run, workflow, now } = input;
  if (isCompleted(run)) return { action: 'Ignore' };
  const generation = run.metadata.generation;
  const end = (phase: 'Failed' | 'Cancelled', reason: string, message: string): StartDecision => ({
    action: 'End',
    status: unstartedStatus(generation, { phase, reason, message, now }),
  });
  if (run.status?.startTime !== undefined) return end('Failed', 'Lost', lost);
  if (run.spec.desiredState === 'Cancelled')
    return end('Cancelled', 'Cancelled', 'The run was cancelled before it started.');
  const deadline = startDeadlineOf(run);
  const late = now >= deadline;
  const missing = (reason: string, what: string): StartDecision =>
    late
      ? end('Failed', 'Expired', expired(run, `${what} Apply it, then start a new run.`))
      : {
          action: 'Wait',
          status: unstartedStatus(generation, {
            phase: 'Queued',
            reason,
            message: `${what} Apply it; the run starts by itself.`,
            now,
          }),
          at: deadline,
        };
  const { namespace } = run.metadata;
  if (!workflow)
    return missing(
      'WorkflowNotFound',
      `Namespace ${namespace} has no Workflow "${run.spec.workflowRef.name}".`,
    );
  const frozen = freeze({ run, workflow, targets: input.targets, now });
  if (frozen.outcome === 'Waiting') return missing(frozen.reason, frozen.message);
  if (late) return end('Failed', 'Expired', expired(run, 'If the work is still wanted, start a new run.'));
  if (frozen.outcome === 'Refused') return end('Failed', frozen.reason, frozen.message);
  return { action: 'Start', run: frozen.run, tasks: frozen.tasks };
};

/** A run with the same name and spec ran before (deleted and applied again, or restored): it does not run twice. */
export const alreadyRan = (run: WorkflowRun, now: number): RunStatusDraft =>
  unstartedStatus(run.metadata.generation, {
    phase: 'Failed',
    reason: 'AlreadyRan',
    message: `A run named ${run.metadata.name} with the same spec ran within the last 30 days, so nothing was executed now. To run it again, start a run of another name.`,
    now,
  });

/** The pause that is asked for, when the ledger has it otherwise. */
export const wantedPause = (
  run: WorkflowRun,
  { run: known }: Pick<RunAndTasks, 'run'>,
): boolean | undefined => {
  if (known.state !== 'Running' || known.cancelRequested) return undefined;
  const wanted = run.spec.desiredState === 'Paused';
  return wanted === known.paused ? undefined : wanted;
};

/** A run that is to start while the ledger is in recovery. */
export const heldBack = (run: WorkflowRun, now: number): RunStatusDraft =>
  unstartedStatus(run.metadata.generation, {
    phase: 'Queued',
    reason: 'RecoveryActive',
    message:
      'The ledger was restored from a copy, and nothing starts before a person has confirmed what is known. See `outrider recovery`.',
    now,
  });

/** True when a cancellation has been asked for, or the run's object is gone, and the ledger does not have it yet. */
export const mustCancel = (run: WorkflowRun | undefined, known: Pick<RunAndTasks, 'run'>): boolean =>
  known.run.state === 'Running' &&
  !known.run.cancelRequested &&
  (run === undefined || run.spec.desiredState === 'Cancelled');
