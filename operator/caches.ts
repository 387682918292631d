import type {
  CredentialStore,
  Login,
  RunDecision,
  Runner,
  Target,
  Workflow,
  WorkflowRun,
} from '@outrider/kinds';
import type { Cache, KubeClient, KubeObject, ResourceType } from './kube/contract.ts';
import type { Logger } from './kube/logger.ts';
import { createReflector } from './kube/reflector.ts';
import {
  credentialStores,
  logins,
  runDecisions,
  runners,
  targets,
  workflowRuns,
  workflows,
} from './kube/resources.ts';

/** Mirrors of the seven kinds in all namespaces. */
export interface Caches {
  readonly workflows: Cache<Workflow>;
  readonly workflowRuns: Cache<WorkflowRun>;
  readonly runDecisions: Cache<RunDecision>;
  readonly runners: Cache<Runner>;
  readonly targets: Cache<Target>;
  readonly stores: Cache<CredentialStore>;
  readonly logins: Cache<Login>;
}

/** Resolves when all of them have their first list. */
export const startCaches = async (
  client: KubeClient,
  logger: Logger,
  signal: AbortSignal,
): Promise<Caches> => {
  const mirror = <T extends KubeObject>(type: ResourceType): Cache<T> =>
    createReflector<T>({
      client,
      type,
      signal,
      onError: (error) => logger.warn({ err: error, kind: type.kind }, 'watching failed; trying again'),
    });
  const caches: Caches = {
    workflows: mirror(workflows),
    workflowRuns: mirror(workflowRuns),
    runDecisions: mirror(runDecisions),
    runners: mirror(runners),
    targets: mirror(targets),
    stores: mirror(credentialStores),
    logins: mirror(logins),
  };
  await Promise.all(Object.values(caches).map((cache: Cache<KubeObject>) => cache.synced));
  return caches;
};
