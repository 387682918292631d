import { randomUUID } from 'node:crypto';
import { definitions } from '@outrider/nodes';
import type { RunnerSelector, Step, Target, Workflow, WorkflowRun } from '@outrider/kinds';
import type { NodeInput, TaskSpec } from '@outrider/protocol';
import { localTag } from '../dispatch/eligibility.ts';
import type { FrozenStep, NewRun, NewTask } from '../ledger/records.ts';
import { digestOf, runSpecDigest } from './digest.ts';
import { durationMs } from './durations.ts';
import { resolveParameters } from './parameters.ts';
import { defined, placesOf, type Place } from './places.ts';

export interface FreezeInput {
  readonly run: WorkflowRun;
  readonly workflow: Workflow;
  /** Targets of the run's namespace. */
  readonly targets: readonly Target[];
  readonly now: number;
}

export type Freeze =
  | { readonly outcome: 'Frozen'; readonly run: NewRun; readonly tasks: readonly NewTask[] }
  /** Can become good by itself: something is still to be applied. */
  | { readonly outcome: 'Waiting'; readonly reason: 'TargetNotFound'; readonly message: string }
  | {
      readonly outcome: 'Refused';
      readonly reason: 'InvalidParameters' | 'NoTargets';
      readonly message: string;
    };

const defaultTimeoutMs = 3_600_000;
const defaultRetryDelayMs = 10_000;

/** Required tags: the workflow's, replaced by the step's, joined with the target's. */
const selection = (
  step: Step,
  workflow: RunnerSelector | undefined,
  place: Place,
): { tags: string[]; local: boolean } => {
  const selector = step.runner ?? workflow ?? {};
  const local = selector.local ?? false;
  const tags = [...new Set([...(selector.tags ?? []), ...place.tags])].filter((tag) => tag !== localTag);
  return { tags: local ? [localTag, ...tags] : tags, local };
};

const inputOf = (step: Step, parameters: Readonly<Record<string, string>>): NodeInput => {
  const { script, command, interpreter, workdir } = step;
  return defined({ script, command, interpreter, workdir, env: { ...step.env, ...parameters } });
};

export const stepName = (step: Step, index: number): string => step.name ?? `step-${index + 1}`;

/** The step's own node, target, credential and environment, with the script that finds out whether it was done. */
const verifyOf = (step: Step, spec: TaskSpec): TaskSpec | undefined => {
  if (step.verify === undefined) return undefined;
  const { onLost: _, ...same } = spec;
  const { script: _script, command, ...input } = spec.input;
  return {
    ...same,
    input: {
      ...input,
      ...(command === undefined ? { script: step.verify.script } : { command: step.verify.script }),
    },
    timeoutMs: step.verify.timeout === undefined ? defaultTimeoutMs : durationMs(step.verify.timeout),
  };
};

const retryOf = ({ retry }: Step): NewTask['retry'] =>
  retry && {
    limit: retry.limit,
    delayMs: retry.delay === undefined ? defaultRetryDelayMs : durationMs(retry.delay),
  };

const timeoutOf = (step: Step): number =>
  step.timeout === undefined
    ? (definitions[step.node]?.defaults.timeoutMs ?? defaultTimeoutMs)
    : durationMs(step.timeout);

const taskOf = (
  input: FreezeInput,
  index: number,
  work: { place: Place; parameters: Readonly<Record<string, string>> },
): NewTask => {
  const { run, workflow } = input;
  const { place } = work;
  const step = workflow.spec.steps[index] as Step;
  const spec: TaskSpec = defined({
    namespace: run.metadata.namespace,
    run: run.metadata.name,
    runUid: run.metadata.uid,
    workflow: workflow.metadata.name,
    step: stepName(step, index),
    node: step.node,
    input: inputOf(step, work.parameters),
    connection: place.connection,
    credential: step.credential ?? place.credential,
    timeoutMs: timeoutOf(step),
    onLost: step.onLost,
    detach: step.detach,
  });
  return defined({
    id: randomUUID(),
    stepIndex: index,
    target: step.targets ? place.name : '',
    spec,
    ...selection(step, workflow.spec.runner, place),
    retry: retryOf(step),
    verify: verifyOf(step, spec),
    lock: place.lock,
  });
};

/** Turns a run and its workflow, as they are now, into what will be executed whatever happens to the workflow later. */
export const freeze = (input: FreezeInput): Freeze => {
  const { run, workflow } = input;
  const parameters = resolveParameters(workflow.spec.parameters ?? [], run.spec.parameters ?? {});
  if ('problems' in parameters)
    return {
      outcome: 'Refused',
      reason: 'InvalidParameters',
      message: `Cannot start: ${parameters.problems.join('; ')}. Correct spec.parameters in a new run.`,
    };
  const tasks: NewTask[] = [];
  for (const [index, step] of workflow.spec.steps.entries()) {
    const places = placesOf(step, input.targets);
    const name = stepName(step, index);
    if (typeof places === 'string')
      return {
        outcome: 'Waiting',
        reason: 'TargetNotFound',
        message: `Step ${name} needs the Target ${places}, which namespace ${run.metadata.namespace} does not have.`,
      };
    if (places.length === 0)
      return {
        outcome: 'Refused',
        reason: 'NoTargets',
        message: `Step ${name} selects no Target of namespace ${run.metadata.namespace}. Compare its targets with the labels that \`kubectl -n ${run.metadata.namespace} get targets --show-labels\` shows, then start a new run.`,
      };
    for (const place of places) tasks.push(taskOf(input, index, { place, parameters: parameters.env }));
  }
  const steps: FrozenStep[] = workflow.spec.steps.map((step, index) => ({
    name: stepName(step, index),
    node: step.node,
    fanOut: step.targets !== undefined,
  }));
  return { outcome: 'Frozen', run: newRun(input, steps), tasks };
};

const newRun = ({ run, workflow, now }: FreezeInput, steps: readonly FrozenStep[]): NewRun => ({
  uid: run.metadata.uid,
  namespace: run.metadata.namespace,
  name: run.metadata.name,
  specDigest: runSpecDigest(run.spec),
  workflow: {
    name: workflow.metadata.name,
    uid: workflow.metadata.uid,
    generation: workflow.metadata.generation,
    digest: `sha256:${digestOf(workflow.spec)}`,
  },
  steps,
  requestedBy: run.spec.requestedBy ?? null,
  createdAt: now,
  priority: run.spec.priority ?? workflow.spec.priority ?? 0,
});
