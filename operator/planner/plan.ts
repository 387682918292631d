import {
  terminalStates,
  type Millis,
  type Plan,
  type PlannedTransition,
  type RunAndTasks,
  type TaskState,
} from '../ledger/records.ts';
import { pausedWhy } from '../ledger/reasons.ts';
import { RunView, type StepView, type ViewedTask } from './run-view.ts';

export interface PlanOptions {
  readonly now: Millis;
  /** A task that no runner took within this time of becoming Ready fails with QueueTimeout. */
  readonly queueTimeoutMs: number;
  /** The ledger was restored: nothing is planned before a person has confirmed what is known. */
  readonly recovering?: boolean;
  /** Its object is gone: why it was cancelled. */
  readonly orphaned?: boolean;
}

interface PlanInput extends PlanOptions {
  readonly view: RunView;
}

type Moves = Pick<Plan, 'transitions' | 'finish'>;
type From = PlannedTransition['from'];
type Change = Omit<PlannedTransition, 'task' | 'from'>;

const from = (steps: readonly StepView[], states: readonly From[], change: Change): PlannedTransition[] =>
  steps.flatMap((step) =>
    states.flatMap((state) => Array.from(step.in(state), ({ id }) => ({ task: id, from: state, ...change }))),
  );

/** Nothing has been sent to a runner that could have acted on it: an Offered task is safe to end, its epoch is left behind. */
const unstarted = ['Pending', 'Blocked', 'Ready', 'Offered'] as const satisfies readonly From[];
/** Lost, and waiting for somebody to say how it ended. */
const unanswered = ['Verifying', 'AwaitingHuman'] as const satisfies readonly From[];

/** Somebody may still be acting on a target, so the run cannot end yet. */
const staysOpen = (view: RunView, transitions: readonly PlannedTransition[]): boolean => {
  const open = view.steps.reduce((sum, step) => sum + step.open, 0);
  return open > transitions.length || view.openProbes > 0;
};

const why = (input: PlanInput): { reason: string; message: string } =>
  input.orphaned === true
    ? {
        reason: 'Orphaned',
        message: 'The WorkflowRun was deleted before the run had ended, so it was cancelled.',
      }
    : { reason: 'Cancelled', message: 'The run was cancelled.' };

const planCancelled = (input: PlanInput): Moves => {
  const { view } = input;
  const { reason } = why(input);
  const transitions = [
    ...from(view.steps, unstarted, {
      to: 'Cancelled',
      reason,
      message: 'The run was cancelled before this step started.',
    }),
    ...from(view.steps, unanswered, {
      to: 'Cancelled',
      reason,
      message: 'The run was cancelled before anybody had said how this attempt ended. Check its target.',
    }),
  ];
  if (staysOpen(view, transitions)) return { transitions };
  const allSucceeded = view.steps.every((step) => step.count('Succeeded') === step.total);
  return {
    transitions,
    finish: allSucceeded
      ? {
          state: 'Succeeded',
          reason: 'Succeeded',
          message: 'Every step had succeeded before the cancellation took effect.',
        }
      : { state: 'Cancelled', ...why(input) },
  };
};

const failures = [...terminalStates].filter((state) => state !== 'Succeeded');
const ownReasons: ReadonlySet<string> = new Set(['Lost', 'TimedOut', 'Poisoned', 'Expired']);

/** The one that a person reads first: by the name of its target. */
const firstFailed = (step: StepView): ViewedTask | undefined =>
  [...step.in(...failures)].sort((a, b) => (a.target < b.target ? -1 : 1))[0];

const reasonOf = (state: TaskState, reason: string | null): string => {
  const own = [state, reason ?? ''].find((word) => ownReasons.has(word));
  return own ?? 'StepFailed';
};

const failureOf = (input: PlanInput, failed: ViewedTask): NonNullable<Plan['finish']> => {
  const step = input.view.run.steps[failed.stepIndex]?.name ?? `step-${failed.stepIndex + 1}`;
  const where = failed.target === '' ? '' : ` on target ${failed.target}`;
  const told = failed.message ?? failed.reason ?? failed.state;
  return {
    state: 'Failed',
    reason: reasonOf(failed.state, failed.reason),
    message: `Step ${step}${where} ended ${failed.state}: ${told}`,
  };
};

/** It was restored from a copy, and nobody vouched for it: it may have run. */
const askRestored: Change = {
  to: 'AwaitingHuman',
  reason: 'AwaitingHuman',
  message: 'The ledger was restored from a copy, and no runner knows whether this was executed since.',
};

/** The step whose turn it is. */
const planTurn = (input: PlanInput, step: StepView): PlannedTransition[] => {
  const pending = [...step.in('Pending')];
  const asked = pending
    .filter(({ uncertain }) => uncertain)
    .map(({ id }): PlannedTransition => ({ task: id, from: 'Pending', ...askRestored }));
  const waiting = pending.filter(({ uncertain }) => !uncertain);
  const to: Change = input.view.run.paused
    ? { to: 'Blocked', ...pausedWhy }
    : { to: 'Ready', queueDeadline: input.now + input.queueTimeoutMs };
  const begun = waiting.map(({ id }): PlannedTransition => ({ task: id, from: 'Pending', ...to }));
  const moved = input.view.run.paused ? from([step], ['Ready'], to) : from([step], ['Blocked'], to);
  return [...asked, ...begun, ...moved];
};

const planSequence = (input: PlanInput): Moves => {
  const { view } = input;
  for (const [index, step] of view.steps.entries()) {
    if (step.open > 0) return { transitions: planTurn(input, step) };
    if (step.count('Succeeded') === step.total) continue;
    const failed = firstFailed(step);
    if (!failed) continue;
    const transitions = from(view.steps.slice(index + 1), unstarted, {
      to: 'Skipped',
      reason: 'StepFailed',
      message: 'A step before this one failed.',
    });
    return staysOpen(view, transitions) ? { transitions } : { transitions, finish: failureOf(input, failed) };
  }
  if (view.openProbes > 0) return { transitions: [] };
  return {
    transitions: [],
    finish: { state: 'Succeeded', reason: 'Succeeded', message: 'Every step succeeded.' },
  };
};

/**
 * What must happen next in a run, from nothing but its ledger records and the time. Undefined when nothing must.
 * Steps go one after the other; a step with several targets is over when all of them are, and failed if one is.
 */
export const planView = (view: RunView, options: PlanOptions): Plan | undefined => {
  const { run } = view;
  const input = { ...options, view };
  if (run.state !== 'Running' || input.recovering === true) return undefined;
  const { transitions, finish } = run.cancelRequested ? planCancelled(input) : planSequence(input);
  if (transitions.length === 0 && !finish) return undefined;
  return { runUid: run.uid, revision: run.revision, transitions, ...(finish ? { finish } : {}) };
};

/** The same from the records as they are read. */
export const planRun = (input: RunAndTasks & PlanOptions): Plan | undefined =>
  planView(new RunView(input), input);
