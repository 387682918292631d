import type { Workflow, WorkflowRun, WorkflowRunStatus, WorkflowStatus } from '@outrider/kinds';
import { conditionsFrom, findCondition, nameList, type Verdict } from '../kube/conditions.ts';
import type { MissingReferences } from './references.ts';

export interface WorkflowFacts {
  readonly workflow: Workflow;
  readonly missing: MissingReferences;
  /** Runs that name it, in any order and phase. */
  readonly runs: readonly WorkflowRun[];
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
}

/** The status that the workflow should have. Ready means that the spec is accepted, whatever is missing or has failed. */
export const decideWorkflow = ({ workflow, missing, runs, now }: WorkflowFacts): WorkflowStatus => {
  const { generation, namespace } = workflow.metadata;
  const verdicts = [ready, referencesResolved(missing, namespace), lastRunSucceeded(workflow, runs)];
  return {
    observedGeneration: generation,
    conditions: conditionsFrom(verdicts, workflow.status?.conditions, { now, generation }),
  };
};

const ready: Verdict = {
  type: 'Ready',
  status: 'True',
  reason: 'Accepted',
  message: 'The spec is accepted.',
};

const referencesResolved = ({ targets, stores }: MissingReferences, namespace: string): Verdict => {
  const type = 'ReferencesResolved';
  if (targets.length + stores.length === 0)
    return {
      type,
      status: 'True',
      reason: 'Resolved',
      message: 'Every Target and CredentialStore that it names exists.',
    };
  const lacks = [
    ...(targets.length === 0
      ? []
      : [`no ${targets.length === 1 ? 'Target' : 'Targets'} ${nameList(targets)}`]),
    ...(stores.length === 0
      ? []
      : [`no ${stores.length === 1 ? 'CredentialStore' : 'CredentialStores'} ${nameList(stores)}`]),
  ];
  return {
    type,
    status: 'False',
    reason: targets.length > 0 ? 'TargetNotFound' : 'StoreNotFound',
    message: `Namespace ${namespace} has ${lacks.join(', and ')}. Create what is missing or correct the names; steps that need it fail until then.`,
  };
};

const finalPhases: ReadonlySet<string | undefined> = new Set(['Succeeded', 'Failed', 'Cancelled']);

/** The run that finished last; one of an earlier workflow of the same name does not count. */
const newestFinished = (workflow: Workflow, runs: readonly WorkflowRun[]): WorkflowRun | undefined =>
  runs
    .filter(
      ({ status }) =>
        finalPhases.has(status?.phase) &&
        (status?.workflow?.uid ?? workflow.metadata.uid) === workflow.metadata.uid,
    )
    .toSorted(
      (a, b) => Date.parse(b.status?.completionTime ?? '') - Date.parse(a.status?.completionTime ?? ''),
    )[0];

const lastRunSucceeded = (workflow: Workflow, runs: readonly WorkflowRun[]): Verdict => {
  const type = 'LastRunSucceeded';
  const run = newestFinished(workflow, runs);
  if (run?.status !== undefined) return { type, ...outcomeOf(run.metadata.name, run.status) };
  // Finished runs are removed after a while: what was known of the last one stays.
  const before = findCondition(workflow.status?.conditions, type);
  return before ?? { type, status: 'Unknown', reason: 'NeverRan', message: 'No run of it has finished yet.' };
};

const outcomeOf = (name: string, { phase, conditions }: WorkflowRunStatus): Omit<Verdict, 'type'> => {
  // Names no run, so that a workflow that succeeds again and again is not written again and again.
  if (phase === 'Succeeded')
    return { status: 'True', reason: 'Succeeded', message: 'The run that finished last succeeded.' };
  const why = findCondition(conditions, 'Succeeded');
  const ended = `WorkflowRun ${name} ${phase === 'Cancelled' ? 'was cancelled' : 'failed'}`;
  return {
    status: 'False',
    reason: why?.reason ?? phase ?? 'Failed',
    message: why?.message ? `${ended}: ${why.message}` : `${ended}.`,
  };
};
