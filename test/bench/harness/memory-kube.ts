import type {
  CredentialStore,
  Login,
  RunDecision,
  Runner,
  Target,
  Workflow,
  WorkflowRun,
} from '@outrider/kinds';
import type { Caches } from '@outrider/operator/caches';
import { createCacheStore, type CacheStore } from '@outrider/operator/kube/cache-store';
import type { KubeClient, KubeObject, ResourceType } from '@outrider/operator/kube/contract';

const fail = (error: unknown): never => {
  throw error;
};
const store = <T extends KubeObject>() => ({ ...createCacheStore<T>(fail), synced: Promise.resolve() });

/**
 * The mirrors of the kinds without an API server behind them. A status that is written comes back into the mirror, as a
 * watch would bring it.
 */
export const createMemoryKube = () => {
  const caches = {
    workflows: store<Workflow>(),
    workflowRuns: store<WorkflowRun>(),
    runners: store<Runner>(),
    targets: store<Target>(),
    stores: store<CredentialStore>(),
    logins: store<Login>(),
    runDecisions: store<RunDecision>(),
  } satisfies Caches;
  const byPlural: Readonly<Record<string, CacheStore<KubeObject>>> = {
    workflowruns: caches.workflowRuns,
    runners: caches.runners,
  };
  let version = 0;
  let statusWrites = 0;

  const metadata = (namespace: string, name: string) => ({
    name,
    namespace,
    uid: `${name}-${++version}`,
    resourceVersion: `${version}`,
    generation: 1,
    creationTimestamp: new Date().toISOString(),
  });

  const client: Pick<KubeClient, 'get' | 'patch'> = {
    get: async <T extends KubeObject>({ plural }: ResourceType, ref: { namespace?: string; name: string }) =>
      byPlural[plural]?.get(ref.namespace ?? '', ref.name) as T | undefined,
    patch: async <T extends KubeObject>(
      { plural }: ResourceType,
      ref: { namespace?: string; name: string },
      change: { body: unknown },
    ) => {
      const known = byPlural[plural]?.get(ref.namespace ?? '', ref.name);
      if (known === undefined) throw new Error(`there is no ${plural} ${ref.name}`);
      const { status } = change.body as { status?: object };
      const before = (known as { status?: object }).status;
      const next = {
        ...known,
        metadata: { ...known.metadata, resourceVersion: `${++version}` },
        status: { ...before, ...status },
      };
      byPlural[plural]?.set(next);
      statusWrites += 1;
      return next as unknown as T;
    },
  };
  return { caches, client, metadata, statusWrites: () => statusWrites };
};

export type MemoryKube = ReturnType<typeof createMemoryKube>;
