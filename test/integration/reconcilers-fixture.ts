import type {
  CredentialStore,
  Login,
  RunDecision,
  Runner,
  Target,
  Workflow,
  WorkflowRun,
} from '@outrider/kinds';
import { findCondition, type Condition } from '@outrider/operator/kube/conditions';
import type { Cache, KubeClient, KubeObject, ResourceType } from '@outrider/operator/kube/contract';
import { createReflector } from '@outrider/operator/kube/reflector';
import {
  apiVersionOf,
  credentialStores,
  logins,
  runDecisions,
  runners,
  targets,
  workflowRuns,
  workflows,
} from '@outrider/operator/kube/resources';
import { waitFor } from '../servers/wait.ts';

export interface Caches {
  readonly workflows: Cache<Workflow>;
  readonly workflowRuns: Cache<WorkflowRun>;
  readonly runDecisions: Cache<RunDecision>;
  readonly runners: Cache<Runner>;
  readonly targets: Cache<Target>;
  readonly stores: Cache<CredentialStore>;
  readonly logins: Cache<Login>;
}

/** One cache per kind, of one namespace. */
export function startCaches(client: KubeClient, namespace: string, signal: AbortSignal): Caches {
  const onError = (): void => {};
  const mirror = <T extends KubeObject>(type: ResourceType): Cache<T> =>
    createReflector<T>({ client, type, namespace, signal, onError });
  return {
    workflows: mirror(workflows),
    workflowRuns: mirror(workflowRuns),
    runDecisions: mirror(runDecisions),
    runners: mirror(runners),
    targets: mirror(targets),
    stores: mirror(credentialStores),
    logins: mirror(logins),
  };
}

/** Creates an object of a kind with this spec. */
export function create<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  object: { namespace: string; name: string; spec: unknown },
): Promise<T> {
  const { namespace, name, spec } = object;
  const body = { apiVersion: apiVersionOf(type), kind: type.kind, metadata: { name, namespace }, spec };
  return client.create<T>(type, namespace, body);
}

/** Waits until a condition of an object has this reason, as the API server has it, and returns it. */
export function conditionWith(
  client: KubeClient,
  type: ResourceType,
  wanted: { namespace: string; name: string; condition: string; reason: string },
): Promise<Condition> {
  const { namespace, name, condition, reason } = wanted;
  return waitFor(`${condition} of ${type.kind} ${name} to be ${reason}`, async () => {
    const object = await client.get<KubeObject & { status?: { conditions?: Condition[] } }>(type, {
      namespace,
      name,
    });
    const found = findCondition(object?.status?.conditions, condition);
    return found?.reason === reason ? found : undefined;
  });
}
