import type { RunPhase, StepPhase, StepSummary, WorkflowRunStatus } from '@outrider/kinds';
import type { Waiting } from '../dispatch/explain.ts';
import { terminalStates, type RunAndTasks, type TaskRecord, type TaskState } from '../ledger/records.ts';

type ConditionInput = { type: string; status: 'True' | 'False' | 'Unknown'; reason: string; message: string };

/** A status without the times of its conditions, which belong to whoever compares it with the last one. */
export type RunStatusDraft = Omit<WorkflowRunStatus, 'conditions'> & {
  readonly conditions: readonly ConditionInput[];
};

const maxSteps = 50;
const maxMessage = 256;

const phaseOf: Readonly<Record<TaskState, StepPhase>> = {
  Pending: 'Pending',
  Blocked: 'Blocked',
  Ready: 'Queued',
  Offered: 'Queued',
  Claimed: 'Running',
  Running: 'Running',
  Unknown: 'Unknown',
  Verifying: 'Verifying',
  AwaitingHuman: 'AwaitingHuman',
  Succeeded: 'Succeeded',
  Failed: 'Failed',
  TimedOut: 'TimedOut',
  Cancelled: 'Cancelled',
  Skipped: 'Skipped',
  Lost: 'Lost',
};

/** The phase of a step with several targets is that of its target that most needs attention. */
const attention: readonly StepPhase[] = [
  'AwaitingHuman',
  'Unknown',
  'Verifying',
  'Running',
  'Queued',
  'Blocked',
  'Lost',
  'Failed',
  'TimedOut',
  'Cancelled',
  'Pending',
  'Skipped',
  'Succeeded',
];

const clip = (text: string): string =>
  text.length > maxMessage ? `${text.slice(0, maxMessage - 1)}…` : text;

export interface StatusInput extends RunAndTasks {
  readonly observedGeneration: number;
  /** Why tasks wait, by task id; only for Ready ones. */
  readonly waiting: ReadonlyMap<string, Waiting>;
}

const explained = (
  task: TaskRecord,
  waiting: StatusInput['waiting'],
): { reason?: string; message?: string } => {
  const why = waiting.get(task.id);
  if (why) return { reason: why.reason, message: clip(why.message) };
  const message = task.message ?? task.result?.message;
  return {
    ...(task.reason ? { reason: task.reason } : {}),
    ...(message ? { message: clip(message) } : {}),
  };
};

const summarize = (name: string, tasks: readonly TaskRecord[], input: StatusInput): StepSummary => {
  const lead = [...tasks].sort(
    (a, b) => attention.indexOf(phaseOf[a.state]) - attention.indexOf(phaseOf[b.state]),
  )[0] as TaskRecord;
  const fanOut = input.run.steps[lead.stepIndex]?.fanOut ?? false;
  const count = (...states: TaskState[]): number =>
    tasks.filter((task) => states.includes(task.state)).length;
  return {
    name,
    phase: phaseOf[lead.state],
    ...explained(lead, input.waiting),
    ...(lead.runnerName && !fanOut ? { runner: lead.runnerName } : {}),
    ...(lead.result?.exitCode === undefined || fanOut ? {} : { exitCode: lead.result.exitCode }),
    ...(lead.epoch > 0 ? { attempts: Math.max(...tasks.map((task) => task.epoch)) } : {}),
    ...(fanOut
      ? {
          targets: {
            total: tasks.length,
            succeeded: count('Succeeded'),
            failed: count('Failed', 'TimedOut', 'Lost'),
          },
        }
      : {}),
  };
};

const failedFirst = (step: StepSummary): number =>
  ['Failed', 'TimedOut', 'Lost', 'Unknown'].includes(step.phase) ? 0 : 1;

const stepsOf = (input: StatusInput): { steps: StepSummary[]; omitted: number } => {
  const all = input.run.steps.flatMap((step, index) => {
    const tasks = input.tasks.filter((task) => task.stepIndex === index);
    return tasks.length === 0 ? [] : [summarize(step.name, tasks, input)];
  });
  if (all.length <= maxSteps) return { steps: all, omitted: 0 };
  const kept = new Set([...all].sort((a, b) => failedFirst(a) - failedFirst(b)).slice(0, maxSteps));
  return { steps: all.filter((step) => kept.has(step)), omitted: all.length - maxSteps };
};

/** Why a run that is not over is where it is; what needs a person's attention comes first. */
const progress = (input: StatusInput, phase: RunPhase): { reason: string; message: string } => {
  const blocked = [...input.waiting.values()].find((why) => why.reason === 'NoRunner');
  if (blocked) return blocked;
  const unknown = input.tasks.find((task) => task.state === 'Unknown');
  if (unknown) return { reason: 'Unknown', message: unknown.message ?? '' };
  if (input.run.cancelRequested)
    return { reason: 'Cancelling', message: 'Waits for what still runs to end.' };
  return { reason: phase, message: '' };
};

const conditionsOf = (input: StatusInput, phase: RunPhase): ConditionInput[] => {
  const { run } = input;
  if (run.state === 'Running') {
    const { reason, message } = progress(input, phase);
    return [
      { type: 'Completed', status: 'False', reason, message },
      { type: 'Succeeded', status: 'Unknown', reason: 'NotCompleted', message: '' },
    ];
  }
  const reason = run.reason ?? run.state;
  const message = run.message ?? '';
  return [
    { type: 'Completed', status: 'True', reason, message },
    { type: 'Succeeded', status: run.state === 'Succeeded' ? 'True' : 'False', reason, message },
  ];
};

const phaseOfRun = ({ run, tasks }: StatusInput): RunPhase => {
  if (run.state !== 'Running') return run.state;
  const begun = tasks.some(
    (task) => task.claimedAt !== null || (terminalStates.has(task.state) && task.state !== 'Skipped'),
  );
  return begun ? 'Running' : 'Queued';
};

/** A run's status, from its ledger records alone: at most 50 steps and bounded messages, whatever the number of targets. */
export const runStatus = (input: StatusInput): RunStatusDraft => {
  const { run } = input;
  const phase = phaseOfRun(input);
  const { steps, omitted } = stepsOf(input);
  return {
    observedGeneration: input.observedGeneration,
    phase,
    startTime: new Date(run.createdAt).toISOString().replace(/\.\d+Z$/, 'Z'),
    ...(run.finishedAt === null
      ? {}
      : { completionTime: new Date(run.finishedAt).toISOString().replace(/\.\d+Z$/, 'Z') }),
    workflow: run.workflow,
    conditions: conditionsOf(input, phase),
    steps,
    ...(omitted > 0 ? { omitted } : {}),
  };
};

/** Status of a run that has not been frozen: it waits, or it ended before it started. */
export const unstartedStatus = (
  observedGeneration: number,
  state: { phase: RunPhase; reason: string; message: string; now: number },
): RunStatusDraft => {
  const ended = state.phase !== 'Queued';
  return {
    observedGeneration,
    phase: state.phase,
    ...(ended ? { completionTime: new Date(state.now).toISOString().replace(/\.\d+Z$/, 'Z') } : {}),
    conditions: [
      { type: 'Completed', status: ended ? 'True' : 'False', reason: state.reason, message: state.message },
      {
        type: 'Succeeded',
        status: ended ? 'False' : 'Unknown',
        reason: ended ? state.reason : 'NotCompleted',
        message: ended ? state.message : '',
      },
    ],
  };
};
