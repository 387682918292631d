import type { WorkflowRun } from '@outrider/kinds';
import type { LedgerMeta, RunAndTasks } from '../ledger/records.ts';
import type { Witness } from './witness.ts';

/** A run as the cluster shows it, beside what the ledger knows of it. */
export interface SeenRun {
  readonly run: WorkflowRun;
  readonly known: RunAndTasks | undefined;
}

export interface RestoreFacts {
  readonly meta: LedgerMeta;
  readonly witness: Witness;
  readonly runs: readonly SeenRun[];
}

const generationEvidence = ({ meta, witness }: RestoreFacts): string | undefined => {
  const { generation } = witness;
  if (generation === meta.generation || meta.formerGenerations.includes(generation)) return undefined;
  return (
    `The ledger is of generation ${meta.generation}, and this installation last worked with generation ${generation}: ` +
    'another ledger was put in its place, or it was lost and began anew.'
  );
};

const sequenceEvidence = ({ meta, witness }: RestoreFacts): string | undefined =>
  witness.sequence > meta.sequence
    ? `The ledger stands at sequence ${meta.sequence}, and the cluster has seen it at ${witness.sequence}: a copy from before was put back.`
    : undefined;

const nameOf = ({ metadata }: WorkflowRun): string => `${metadata.namespace}/${metadata.name}`;

/** Highest attempt of a step that the ledger knows of. */
const attemptsOf = ({ run, tasks }: RunAndTasks, step: string): number =>
  Math.max(
    0,
    ...tasks.filter(({ stepIndex }) => run.steps[stepIndex]?.name === step).map(({ epoch }) => epoch),
  );

const furtherStep = (status: NonNullable<WorkflowRun['status']>, known: RunAndTasks): string | undefined => {
  for (const { name, attempts = 0 } of status.steps ?? []) {
    const recorded = attemptsOf(known, name);
    if (attempts > recorded)
      return `attempt ${attempts} of step ${name}, and the ledger knows of ${recorded}`;
  }
  return undefined;
};

/** What a status shows and its ledger does not know: statuses are written from what the ledger has committed, never before. */
const statusEvidence = ({ run, known }: SeenRun): string | undefined => {
  const { status } = run;
  if (status?.startTime === undefined) return undefined;
  const shows = `A copy of the ledger was put back: WorkflowRun ${nameOf(run)} shows`;
  const ended = status.completionTime !== undefined;
  if (known === undefined)
    return ended ? undefined : `${shows} that it has begun, and the ledger does not know it.`;
  if (known.run.state !== 'Running') return undefined;
  if (ended) return `${shows} that it has ended, and in the ledger it has not.`;
  const step = furtherStep(status, known);
  return step === undefined ? undefined : `${shows} ${step}.`;
};

/** Why this ledger must have been put back from a copy, in words; undefined when nothing says so. */
export const restoreEvidence = (facts: RestoreFacts): string | undefined => {
  const own = generationEvidence(facts) ?? sequenceEvidence(facts);
  if (own !== undefined) return own;
  for (const seen of facts.runs) {
    const found = statusEvidence(seen);
    if (found !== undefined) return found;
  }
  return undefined;
};
