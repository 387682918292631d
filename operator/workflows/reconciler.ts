import type { CredentialStore, Target, Workflow, WorkflowRun } from '@outrider/kinds';
import type { Cache, StatusWriter } from '../kube/contract.ts';
import { keyOf, onExistence, startController, type Controller } from '../kube/controller.ts';
import type { Logger } from '../kube/logger.ts';
import { workflows as workflowType } from '../kube/resources.ts';
import { queueKey } from '../kube/work-queue.ts';
import { decideWorkflow, type WorkflowFacts } from './decide.ts';
import { missingReferences } from './references.ts';

export interface WorkflowReconcilerDeps {
  readonly workflows: Cache<Workflow>;
  readonly workflowRuns: Cache<WorkflowRun>;
  readonly targets: Cache<Target>;
  readonly stores: Cache<CredentialStore>;
  readonly status: StatusWriter;
  readonly logger: Logger;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Owns Workflow.status. Looks again when the workflow, what it names, or the end of one of its runs changes. */
export const startWorkflowReconciler = (deps: WorkflowReconcilerDeps): Controller => {
  const { workflows, workflowRuns, targets, stores, status, logger } = deps;
  return startController({
    name: 'workflows',
    logger,
    cache: workflows,
    reads: [workflowRuns, targets, stores],
    reconcile: (workflow) => {
      status.want(workflowType, workflow, decideWorkflow(gather(deps, workflow)));
      return Promise.resolve();
    },
    watch: (queue) => {
      const all = (namespace: string): void => {
        for (const workflow of workflows.list(namespace)) queue.add(keyOf(workflow));
      };
      return [
        onExistence(targets, all),
        onExistence(stores, all),
        workflowRuns.onChange((key, run, before) => {
          if (run?.status?.completionTime === before?.status?.completionTime || run === undefined) return;
          queue.add(queueKey({ namespace: key.namespace, name: run.spec.workflowRef.name }));
        }),
      ];
    },
  });
};

const gather = (
  { workflowRuns, targets, stores, now }: WorkflowReconcilerDeps,
  workflow: Workflow,
): WorkflowFacts => {
  const { namespace, name } = workflow.metadata;
  return {
    workflow,
    missing: missingReferences(workflow.spec, {
      target: (target) => targets.get(namespace, target) !== undefined,
      store: (store) => stores.get(namespace, store) !== undefined,
    }),
    runs: workflowRuns.list(namespace).filter((run) => run.spec.workflowRef.name === name),
    now: now(),
  };
};
