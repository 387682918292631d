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
import type { Leading } from './leading.ts';
import type { Ledger } from './ledger/ledger.ts';
import { startLoginReconciler } from './logins/reconciler.ts';
import type { MetricsServer } from './metrics/server.ts';
import { startPortalApi } from './portal-api/server.ts';
import { publishPortal } from './publish.ts';
import { checkForRestore, startRecoveryKeeper } from './recovery/keeper.ts';
import { createWitnessStore } from './recovery/witness.ts';
import { leadingLedger } from './replicas/leading-ledger.ts';
import { watchRevocations } from './replicas/revocations.ts';
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
  /**
   * Calls `lead` once this replica leads, with a signal for when it shall stop; resolves after it has stopped. Absent where
   * there is one replica, which leads as long as it serves.
   */
  readonly whenLeading?: (lead: (signal: AbortSignal) => Promise<void>) => Promise<void>;
  /** Another replica leads although this one still held the Lease: nothing that is under way may still be finished. */
  readonly onSuperseded: () => void;
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

/** Cuts open polls of a key at this replica and refuses it from now on. */
const revokeAt =
  ({ engine }: Parts, { runnerIdentity }: Shared) =>
  (clientId: string): void => {
    runnerIdentity.revoked(clientId);
    engine.dispatch.revoke(clientId);
  };

const startReconcilers = (
  { config, client, logger }: ServeOptions,
  parts: Parts,
  { given, ledger }: { given: Shared; ledger: Ledger },
) => {
  const { caches, engine } = parts;
  const { status, events } = given;
  const shared = { ...caches, status, events, logger, client, now };
  const revoke = revokeAt(parts, given);
  return [
    startWorkflowReconciler(shared),
    startTargetReconciler(shared),
    startStoreReconciler(shared),
    startLoginReconciler(shared),
    startDecisionReconciler({ ...shared, ledger, logs: engine.logs, board: engine.board }),
    startRunnerReconciler({
      ...shared,
      directory: engine.sessions,
      ledger,
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

/** Everything that one replica does for all. What has begun is ended again when the rest cannot begin. */
const startLeader = async (options: ServeOptions, parts: Parts, given: Shared) => {
  const { caches, engine } = parts;
  const { client, config, logger } = options;
  const ledger = engine.shared
    ? leadingLedger(engine.ledger, await engine.ledger.takeTerm(), options.onSuperseded)
    : engine.ledger;
  const keeper = await startRecoveryKeeper({
    ledger,
    mode: engine.recovery,
    witness: createWitnessStore(client, config.namespace),
    runs: caches.workflowRuns.list(),
    events: given.events,
    logger,
    now,
  });
  const controllers = startReconcilers(options, parts, { given, ledger });
  let leading: Leading | undefined;
  const stop = async (): Promise<void> => {
    await Promise.all(controllers.map((controller) => controller.stop()));
    await leading?.stop();
    await keeper.stop();
  };
  try {
    leading = await engine.lead(ledger);
    return { stop };
  } catch (error) {
    await stop();
    throw error;
  }
};

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });

/** What a replica does so that nothing is served of a ledger that was put back, nor to keys that others have revoked. */
const joinReplicas = async (options: ServeOptions, parts: Parts, given: Shared): Promise<void> => {
  const { caches, engine } = parts;
  const { client, config, logger } = options;
  await checkForRestore({
    ledger: engine.ledger,
    mode: engine.recovery,
    witness: createWitnessStore(client, config.namespace),
    runs: caches.workflowRuns.list(),
  });
  await engine.begin();
  watchRevocations({
    runners: caches.runners,
    ledger: engine.ledger,
    revoke: revokeAt(parts, given),
    onError: (error) => logger.error({ err: error }, 'could not refuse the keys of a revoked runner'),
  });
};

/** Leads at once, or when it is this replica's turn; resolves with what ends it. */
const startLeadership = async (
  options: ServeOptions,
  parts: Parts,
  given: Shared,
): Promise<() => Promise<void>> => {
  if (options.whenLeading === undefined) {
    const leader = await startLeader(options, parts, given);
    return leader.stop;
  }
  const leading = options.whenLeading(async (signal) => {
    const leader = await startLeader(options, parts, given);
    await aborted(signal);
    await leader.stop();
  });
  return () => leading;
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
  const keys = await loadKeyMaterial(createSecretKeyStore(client, config.namespace), now());
  const parts: Parts = { caches, engine, keys };
  const identities = await startIdentities(options, parts);
  const given = { ...identities, status, events };
  if (engine.shared) await joinReplicas(options, parts, given);
  const stopLeading = await startLeadership(options, parts, given);
  const apis = await startApis(options, parts, identities);
  await publishPortal(client, config.namespace, {
    url: config.portalUrl,
    runnerUrl: config.runnerApiUrl,
    caPem: identities.authority.caPem,
    issuer: config.issuer,
    attemptKeyPem: keys.attempt.publicPem,
  });
  metrics.ready({ ...engine, directory: engine.sessions, now });
  logger.info(
    { portal: config.portalUrl, runnerApi: config.runnerApiUrl, generation: engine.ledger.generation },
    'serving',
  );

  await Promise.race([aborted(signal), engine.failed]);
  await Promise.all(apis.map((api) => api.close()));
  watching.abort();
  await stopLeading();
  await engine.stop();
  await status.stop();
  await events.stop();
  identities.authority.close();
};
