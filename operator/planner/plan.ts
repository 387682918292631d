import {
  terminalStates,
  type Millis,
  type Plan,
  type PlannedTransition,
  type RunAndTasks,
  type TaskRecord,
} from '../ledger/records.ts';

export interface PlanInput extends RunAndTasks {
  readonly now: Millis;
  /** A task that no runner took within this time of becoming Ready fails with QueueTimeout. */
  readonly queueTimeoutMs: number;
}

const isFinal = (task: TaskRecord): boolean => terminalStates.has(task.state);

const byStep = (tasks: readonly TaskRecord[]): TaskRecord[][] => {
  const steps: TaskRecord[][] = [];
  for (const task of tasks) (steps[task.stepIndex] ??= []).push(task);
  return steps.filter((step) => step !== undefined);
};

/** Nothing has been sent to a runner that could have acted on it: an Offered task is safe to end, its epoch is left behind. */
const endUnstarted = (
  tasks: readonly TaskRecord[],
  change: Pick<PlannedTransition, 'to' | 'reason' | 'message'>,
): PlannedTransition[] =>
  tasks.flatMap((task) =>
    task.state === 'Pending' || task.state === 'Ready' || task.state === 'Offered'
      ? [{ task: task.id, from: task.state, ...change }]
      : [],
  );

/** Somebody may still be acting on a target, so the run cannot end yet. */
const staysOpen = (tasks: readonly TaskRecord[], transitions: readonly PlannedTransition[]): boolean => {
  const ended = new Set(transitions.map((transition) => transition.task));
  return tasks.some((task) => !isFinal(task) && !ended.has(task.id));
};

const planCancelled = (input: PlanInput): Pick<Plan, 'transitions' | 'finish'> => {
  const transitions = endUnstarted(input.tasks, {
    to: 'Cancelled',
    reason: 'Cancelled',
    message: 'The run was cancelled before this step started.',
  });
  if (staysOpen(input.tasks, transitions)) return { transitions };
  const allSucceeded = transitions.length === 0 && input.tasks.every((task) => task.state === 'Succeeded');
  return {
    transitions,
    finish: allSucceeded
      ? {
          state: 'Succeeded',
          reason: 'Succeeded',
          message: 'Every step had succeeded before the cancellation took effect.',
        }
      : { state: 'Cancelled', reason: 'Cancelled', message: 'The run was cancelled.' },
  };
};

const failureOf = (input: PlanInput, failed: TaskRecord): NonNullable<Plan['finish']> => {
  const step = input.run.steps[failed.stepIndex]?.name ?? `step-${failed.stepIndex + 1}`;
  const where = failed.target === '' ? '' : ` on target ${failed.target}`;
  const why = failed.message ?? failed.reason ?? failed.state;
  const reason = failed.state === 'Lost' ? 'Lost' : failed.state === 'TimedOut' ? 'TimedOut' : 'StepFailed';
  return { state: 'Failed', reason, message: `Step ${step}${where} ended ${failed.state}: ${why}` };
};

const planSequence = (input: PlanInput): Pick<Plan, 'transitions' | 'finish'> => {
  const steps = byStep(input.tasks);
  for (const step of steps) {
    if (step.some((task) => !isFinal(task))) {
      const transitions = step
        .filter((task) => task.state === 'Pending')
        .map((task): PlannedTransition => ({
          task: task.id,
          from: 'Pending',
          to: 'Ready',
          queueDeadline: input.now + input.queueTimeoutMs,
        }));
      return { transitions };
    }
    const failed = step.find((task) => task.state !== 'Succeeded');
    if (!failed) continue;
    const transitions = endUnstarted(input.tasks, {
      to: 'Skipped',
      reason: 'StepFailed',
      message: 'A step before this one failed.',
    });
    return staysOpen(input.tasks, transitions)
      ? { transitions }
      : { transitions, finish: failureOf(input, failed) };
  }
  return {
    transitions: [],
    finish: { state: 'Succeeded', reason: 'Succeeded', message: 'Every step succeeded.' },
  };
};

/**
 * What must happen next in a run, from nothing but its ledger records and the time. Undefined when nothing must.
 * Steps go one after the other; a step with several targets is over when all of them are, and failed if one is.
 */
export const planRun = (input: PlanInput): Plan | undefined => {
  if (input.run.state !== 'Running') return undefined;
  const { transitions, finish } = input.run.cancelRequested ? planCancelled(input) : planSequence(input);
  if (transitions.length === 0 && !finish) return undefined;
  return { runUid: input.run.uid, revision: input.run.revision, transitions, ...(finish ? { finish } : {}) };
};
