import type { RunDecision } from '@outrider/kinds';
import type { Problem } from '@outrider/protocol';
import type { Board } from '../dispatch/board.ts';
import { conditionsFrom, findCondition } from '../kube/conditions.ts';
import type { Cache, EventRecorder, StatusWriter } from '../kube/contract.ts';
import { startController, type Controller } from '../kube/controller.ts';
import type { Logger } from '../kube/logger.ts';
import { apiVersionOf, runDecisions, workflowRuns } from '../kube/resources.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { LogStore } from '../logs/contract.ts';
import { refusalOf, verdictOn } from './decide.ts';

export interface DecisionReconcilerDeps {
  readonly runDecisions: Cache<RunDecision>;
  readonly ledger: Pick<Ledger, 'readRun' | 'decide'>;
  readonly logs: Pick<LogStore, 'abandon'>;
  readonly board: Pick<Board, 'apply'>;
  readonly status: StatusWriter;
  readonly events: EventRecorder;
  readonly logger: Logger;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Hands each RunDecision to the ledger once, and writes what became of it to its condition Applied. */
export const startDecisionReconciler = (deps: DecisionReconcilerDeps): Controller => {
  const { ledger, logs, board, events, now } = deps;

  /** The ledger knows a decision by its uid: one that is handed in again, after a crash before the status, changes nothing. */
  const apply = async ({ metadata, spec }: RunDecision): Promise<Problem | undefined> => {
    const { tasks, problem } = await ledger.decide({
      uid: metadata.uid,
      runUid: spec.runRef.uid,
      step: spec.step,
      target: spec.target ?? '',
      epoch: spec.attempt,
      decision: spec.decision,
      by: spec.decidedBy,
      reason: spec.reason,
      now: now(),
    });
    board.apply(tasks);
    const decided = tasks.find(({ probeOf }) => probeOf === null);
    // What is decided is not heard of any more; a log that has its end keeps it.
    if (decided !== undefined) await logs.abandon({ task: decided.id, epoch: spec.attempt });
    return problem;
  };

  /** The Event is about the run as the decision names it: the mirror of runs may hear of that run later. */
  const announce = ({ metadata: { namespace }, spec }: RunDecision): void => {
    const { name, uid } = spec.runRef;
    const { kind } = workflowRuns;
    const run = { apiVersion: apiVersionOf(workflowRuns), kind, metadata: { namespace, name, uid } };
    const place = spec.target === undefined ? spec.step : `${spec.step} on target ${spec.target}`;
    events.record(run, {
      type: 'Normal',
      reason: 'Decided',
      action: 'Decide',
      note: `${spec.decidedBy} decided ${spec.decision} for attempt ${spec.attempt} of step ${place}: ${spec.reason}`,
    });
  };

  return startController({
    name: 'decisions',
    logger: deps.logger,
    cache: deps.runDecisions,
    reconcile: async (decision) => {
      const before = decision.status?.conditions;
      if (findCondition(before, 'Applied')) return;
      const known = await ledger.readRun(decision.spec.runRef.uid);
      const problem = refusalOf(decision, known?.run) ?? (await apply(decision));
      const { generation } = decision.metadata;
      const conditions = conditionsFrom([verdictOn(decision, problem)], before, { now: now(), generation });
      deps.status.want(
        runDecisions,
        decision,
        { observedGeneration: generation, conditions },
        { urgent: true },
      );
      if (!problem) announce(decision);
    },
  });
};
