import type { RunPhase, StepPhase, StepSummary, WorkflowRunStatus } from '@outrider/kinds';
import type { Waiting } from '../dispatch/explain.ts';
import { taskStates, type RunAndTasks, type TaskState } from '../ledger/records.ts';
import { RunView, type StepView, type ViewedTask } from '../planner/run-view.ts';

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

const statesOf = (phase: StepPhase): readonly TaskState[] =>
  taskStates.filter((state) => phaseOf[state] === phase);
/** As `attention`, with the states that each phase stands for. */
const byAttention = attention.map((phase) => ({ phase, states: statesOf(phase) }));

const clip = (text: string): string =>
  text.length > maxMessage ? `${text.slice(0, maxMessage - 1)}…` : text;

export interface StatusInput {
  readonly view: RunView;
  readonly observedGeneration: number;
  /** Why Ready tasks wait, by the index of their step: of each the reason that most needs attention. */
  readonly waiting: ReadonlyMap<number, Waiting>;
}

interface Explained {
  readonly reason?: string;
  readonly message?: string;
}

/** What a person has to do comes first, since a long message is cut. */
const askFor = ({ run }: RunView, task: ViewedTask, others: number): Explained => {
  const step = run.steps[task.stepIndex]?.name ?? '';
  const target = task.target === '' ? '' : ` --target ${task.target}`;
  const more = others > 0 ? ` ${others} more ${others === 1 ? 'target waits' : 'targets wait'}.` : '';
  return {
    reason: 'AwaitingHuman',
    message: clip(
      `Nobody knows how attempt ${task.epoch} ended; check, then: outrider decide ${run.name} ${step}${target} --attempt ${task.epoch} --succeeded|--failed|--retry --reason TEXT.${more}`,
    ),
  };
};

const explained = (input: StatusInput, step: StepView, lead: ViewedTask): Explained => {
  if (lead.state === 'AwaitingHuman') return askFor(input.view, lead, step.count('AwaitingHuman') - 1);
  const why = lead.state === 'Ready' ? input.waiting.get(lead.stepIndex) : undefined;
  if (why) return { reason: why.reason, message: clip(why.message) };
  const message = lead.message ?? lead.result?.message;
  return {
    ...(lead.reason ? { reason: lead.reason } : {}),
    ...(message ? { message: clip(message) } : {}),
  };
};

/** What belongs to one attempt is told of a step with one task only. */
const ofOneTask = (lead: ViewedTask): Partial<StepSummary> => ({
  ...(lead.runnerName ? { runner: lead.runnerName } : {}),
  ...(lead.result?.exitCode === undefined ? {} : { exitCode: lead.result.exitCode }),
});

const ofManyTasks = (step: StepView): Partial<StepSummary> => ({
  targets: {
    total: step.total,
    succeeded: step.count('Succeeded'),
    failed: step.count('Failed', 'TimedOut', 'Lost'),
  },
});

const summarize = (input: StatusInput, index: number, step: StepView): StepSummary[] => {
  const { name, fanOut } = input.view.run.steps[index] ?? { name: '', fanOut: false };
  const shown = byAttention.find(({ states }) => step.count(...states) > 0);
  const lead = shown && step.first(...shown.states);
  if (!lead) return [];
  return [
    {
      name,
      phase: shown.phase,
      ...explained(input, step, lead),
      ...(step.attempts > 0 ? { attempts: step.attempts } : {}),
      ...(step.unconfirmed > 0 ? { unconfirmed: step.unconfirmed } : {}),
      ...(fanOut ? ofManyTasks(step) : ofOneTask(lead)),
    },
  ];
};

const needAttention: ReadonlySet<StepPhase> = new Set([
  'Failed',
  'TimedOut',
  'Lost',
  'Unknown',
  'Verifying',
  'AwaitingHuman',
]);
const failedFirst = (step: StepSummary): number => (needAttention.has(step.phase) ? 0 : 1);

const stepsOf = (input: StatusInput): { steps: StepSummary[]; omitted: number } => {
  const all = input.view.steps.flatMap((step, index) => summarize(input, index, step));
  if (all.length <= maxSteps) return { steps: all, omitted: 0 };
  const kept = new Set([...all].sort((a, b) => failedFirst(a) - failedFirst(b)).slice(0, maxSteps));
  return { steps: all.filter((step) => kept.has(step)), omitted: all.length - maxSteps };
};

const firstIn = (view: RunView, state: TaskState): ViewedTask | undefined =>
  view.steps.find((step) => step.count(state) > 0)?.first(state);

const pausedWhy = ({ steps }: RunView): string => {
  const running = steps.reduce(
    (sum, step) => sum + step.count('Offered', 'Claimed', 'Running', 'Unknown'),
    0,
  );
  const rest =
    running > 0 ? ` ${running} ${running === 1 ? 'attempt goes' : 'attempts go'} on to the end.` : '';
  return `The run is paused; set spec.desiredState to Running, or run \`outrider resume\`, to go on.${rest}`;
};

/** Why a run that is not over is where it is; what needs a person's attention comes first. */
const progress = (input: StatusInput, phase: RunPhase): { reason: string; message: string } => {
  const { view } = input;
  const asked = firstIn(view, 'AwaitingHuman');
  if (asked) return { reason: 'AwaitingHuman', message: '', ...askFor(view, asked, 0) };
  const waiting = [...input.waiting.values()];
  const nobody = waiting.find((why) => why.reason === 'NoRunner');
  if (nobody) return nobody;
  const lost = firstIn(view, 'Unknown') ?? firstIn(view, 'Verifying');
  if (lost) return { reason: lost.state, message: lost.message ?? '' };
  if (view.run.cancelRequested) return { reason: 'Cancelling', message: 'Waits for what still runs to end.' };
  if (view.run.paused) return { reason: 'Paused', message: pausedWhy(view) };
  const held = waiting.find((why) => why.reason !== 'RunnersBusy');
  return held ?? { reason: phase, message: '' };
};

const conditionsOf = (input: StatusInput, phase: RunPhase): ConditionInput[] => {
  const { run } = input.view;
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

const notBegun: readonly TaskState[] = ['Pending', 'Blocked', 'Ready', 'Offered', 'Skipped'];

const phaseOfRun = ({ run, steps }: RunView): RunPhase => {
  if (run.state !== 'Running') return run.state;
  if (run.paused && !run.cancelRequested) return 'Paused';
  const begun = steps.some((step) => step.attempts > 0 && step.count(...notBegun) < step.total);
  return begun ? 'Running' : 'Queued';
};

/** A run's status, from its ledger records alone: at most 50 steps and bounded messages, whatever the number of targets. */
export const viewStatus = (input: StatusInput): RunStatusDraft => {
  const { run } = input.view;
  const phase = phaseOfRun(input.view);
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

/** The same from the records as they are read; the ledger alone does not say why tasks wait. */
export const runStatus = (known: RunAndTasks): RunStatusDraft =>
  viewStatus({ view: new RunView(known), observedGeneration: 0, waiting: new Map() });

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
