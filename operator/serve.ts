import 'reflect-metadata';
import { startCaches } from './caches.ts';
import type { OperatorConfig } from './config.ts';
import { openEngine, type Engine } from './engine.ts';
import { createAccessReview } from './identity/access-review.ts';
import { createAuthority } from './identity/ca.ts';
import { createCredentials } from './identity/credentials.ts';
import { loadKeyMaterial, type KeyMaterial } from './identity/key-material.ts';
import { createPortalIdentity } from './identity/portal.ts';
import { createRunnerIdentity } from './identity/runners.ts';
import { createSecretKeyStore } from './identity/secret-key-store.ts';
import type { Caches } from './caches.ts';
import { startDecisionReconciler } from './decisions/reconciler.ts';
import type { KubeClient } from './kube/contract.ts';
import { createEventRecorder } from './kube/events.ts';
import type { Logger } from './kube/logger.ts';
import { createStatusWriter } from './kube/status-writer.ts';
import { startLoginReconciler } from './logins/reconciler.ts';
import type { MetricsServer } from './metrics/server.ts';
import { startPortalApi } from './portal-api/server.ts';
import { publishPortal } from './publish.ts';
import { startRecoveryKeeper } from './recovery/keeper.ts';
import { createWitnessStore } from './recovery/witness.ts';
import { startRunnerApi } from './runner-api/server.ts';
import { startRunnerReconciler } from './runners/reconciler.ts';
import { startStoreReconciler } from './stores/reconciler.ts';
import { startTargetReconciler } from './targets/reconciler.ts';
import { startWorkflowReconciler } from './workflows/reconciler.ts';

export interface ServeOptions {
  readonly config: OperatorConfig;
  readonly client: KubeClient;
  readonly metrics: MetricsServer;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

const now = Date.now;

interface Parts {
  readonly caches: Caches;
  readonly engine: Engine;
  readonly keys: KeyMaterial;
}

const startIdentities = async ({ config, client, logger }: ServeOptions, { caches, engine, keys }: Parts) => {
  const authority = await createAuthority({
    ca: keys.ca,
    names: config.tlsNames,
    ...(config.tlsFiles ? { files: config.tlsFiles } : {}),
    now,
    onError: (error) => logger.error({ err: error }, 'could not renew the server certificate; trying again'),
  });
  const { ledger, dispatch } = engine;
  const credentials = createCredentials({
    dispatch,
    stores: caches.stores,
    kube: client,
    ledger,
    attemptToken: { key: keys.attempt, issuer: config.issuer, now },
  });
  const shared = { accessKey: keys.access, issuer: config.issuer, kube: client, now };
  const runnerIdentity = await createRunnerIdentity({
    ...shared,
    authority,
    url: config.runnerApiUrl,
    ledger,
    credentials,
  });
  return { authority, runnerIdentity, identity: createPortalIdentity(shared) };
};

type Identities = Awaited<ReturnType<typeof startIdentities>>;

const startReconcilers = (
  { config, client, logger }: ServeOptions,
  { caches, engine }: Parts,
  given: Shared,
) => {
  const { runnerIdentity, status, events } = given;
  const shared = { ...caches, status, events, logger, client, now };
  const revoke = (clientId: string): void => {
    runnerIdentity.revoked(clientId);
    engine.dispatch.revoke(clientId);
  };
  return [
    startWorkflowReconciler(shared),
    startTargetReconciler(shared),
    startStoreReconciler(shared),
    startLoginReconciler(shared),
    startDecisionReconciler({ ...shared, ledger: engine.ledger, board: engine.board }),
    startRunnerReconciler({
      ...shared,
      directory: engine.sessions,
      ledger: engine.ledger,
      times: config.times,
      revoke,
    }),
  ];
};

type Shared = Pick<Identities, 'runnerIdentity'> & {
  readonly status: ReturnType<typeof createStatusWriter>;
  readonly events: ReturnType<typeof createEventRecorder>;
};

const startApis = async (
  options: ServeOptions,
  { caches, engine }: Parts,
  { identity, runnerIdentity }: Identities,
) => {
  const { config, client, logger } = options;
  const runnerApi = await startRunnerApi({
    identity: runnerIdentity,
    dispatch: engine.dispatch,
    generation: () => engine.ledger.generation,
    host: config.host,
    port: config.runnerApiPort,
    logger,
  });
  const portalApi = await startPortalApi({
    host: config.host,
    port: config.portalPort,
    identity,
    runnerIdentity,
    access: createAccessReview({ kube: client, now }),
    sources: { ...engine, runs: caches.workflowRuns, runners: caches.runners, directory: engine.sessions },
    runnerApiUrl: config.runnerApiUrl,
    operatorNamespace: config.namespace,
    logger,
    now,
  });
  return [runnerApi, portalApi];
};

/**
 * Wires everything and serves until the signal ends it; then stops in the order in which nothing is lost.
 * @throws what a store that died under it had answered.
 */
export const serve = async (options: ServeOptions): Promise<void> => {
  const { config, client, metrics, logger, signal } = options;
  const watching = new AbortController();
  const status = createStatusWriter({ client, logger });
  const events = createEventRecorder({ client, logger, instance: config.identity });
  const caches = await startCaches(client, logger, AbortSignal.any([watching.signal, signal]));
  const engine = await openEngine({ ...config, caches, status, events, logger, now });
  const keeper = await startRecoveryKeeper({
    ledger: engine.ledger,
    mode: engine.recovery,
    witness: createWitnessStore(client, config.namespace),
    runs: caches.workflowRuns.list(),
    events,
    logger,
    now,
  });
  const keys = await loadKeyMaterial(createSecretKeyStore(client, config.namespace), now());
  const parts: Parts = { caches, engine, keys };
  const identities = await startIdentities(options, parts);
  const controllers = startReconcilers(options, parts, { ...identities, status, events });
  const apis = await startApis(options, parts, identities);
  await engine.begin();
  await publishPortal(client, config.namespace, {
    url: config.portalUrl,
    runnerUrl: config.runnerApiUrl,
    caPem: identities.authority.caPem,
    issuer: config.issuer,
    attemptKeyPem: keys.attempt.publicPem,
  });
  const { board, sessions: directory, ledger, recovery } = engine;
  metrics.ready({ board, directory, ledger, recovery, now });
  logger.info(
    { portal: config.portalUrl, runnerApi: config.runnerApiUrl, generation: engine.ledger.generation },
    'serving',
  );

  const asked = new Promise<void>((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([asked, engine.failed]);
  await Promise.all(apis.map((api) => api.close()));
  watching.abort();
  await Promise.all(controllers.map((controller) => controller.stop()));
  await keeper.stop();
  await engine.stop();
  await status.stop();
  await events.stop();
  identities.authority.close();
};
