import type { RunDecision } from '@outrider/kinds';
import { describeProblem, type Problem } from '@outrider/protocol';
import type { Verdict } from '../kube/conditions.ts';
import type { RunRecord } from '../ledger/records.ts';

/** A run of another namespace counts as none: whoever may decide here must not learn of it. */
const isMeant = ({ metadata, spec }: RunDecision, run: RunRecord): boolean =>
  run.namespace === metadata.namespace && run.name === spec.runRef.name;

/**
 * Why a decision must not reach the ledger. The policy that admitted it has asked whether its author may approve the Workflow
 * that it names; so that must be the run's own. What else can be wrong with it, the ledger finds out.
 */
export const refusalOf = (decision: RunDecision, run: RunRecord | undefined): Problem | undefined => {
  const { runRef, workflow } = decision.spec;
  const { namespace } = decision.metadata;
  if (!run || !isMeant(decision, run))
    return {
      code: 'NotFound',
      message: `Namespace ${namespace} has no run "${runRef.name}" with uid ${runRef.uid} that has started.`,
      action: `Decide again with name and uid as \`kubectl -n ${namespace} get workflowrun ${runRef.name} -o yaml\` shows them.`,
    };
  if (run.workflow.name === workflow) return undefined;
  return {
    code: 'Forbidden',
    message: `Run ${run.name} is one of workflow ${run.workflow.name}, not of ${workflow}.`,
    action: `Decide again with workflow: ${run.workflow.name}, which takes permission to approve that one.`,
  };
};

const done: Readonly<Record<RunDecision['spec']['decision'], string>> = {
  Succeeded: 'counts as succeeded',
  Failed: 'counts as failed',
  Retry: 'is followed by another one',
  Release: 'no longer keeps its target from others',
};

/** The condition Applied of a decision: with what became of it, or with why nothing did. */
export const verdictOn = ({ spec }: RunDecision, problem: Problem | undefined): Verdict =>
  problem
    ? { type: 'Applied', status: 'False', reason: problem.code, message: describeProblem(problem) }
    : {
        type: 'Applied',
        status: 'True',
        reason: 'Applied',
        message: `Attempt ${spec.attempt} of step ${spec.step} ${done[spec.decision]}.`,
      };
