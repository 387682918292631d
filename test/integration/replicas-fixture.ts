import { expect } from 'vitest';
import type {
  CredentialStore,
  Login,
  RunDecision,
  Runner,
  RunnerSpec,
  Target,
  Workflow,
  WorkflowRun,
} from '@outrider/kinds';
import { protocolVersion, type AttemptRef, type SessionRequest, type TaskResult } from '@outrider/protocol';
import type { Caches } from '../../operator/caches.ts';
import type { AuthenticatedRunner, Dispatch } from '../../operator/dispatch/contract.ts';
import { defaultTimes } from '../../operator/dispatch/times.ts';
import { openEngine, type Engine } from '../../operator/engine.ts';
import { createCacheStore } from '../../operator/kube/cache-store.ts';
import type { KubeObject, StatusWriter } from '../../operator/kube/contract.ts';
import type { NewTask } from '../../operator/ledger/records.ts';
import { aNewRun, aTaskRecord } from '../../operator/testing/builders.ts';
import { waitFor } from '../servers/wait.ts';

const namespace = 'payments';
const failures: unknown[] = [];

const store = <T extends KubeObject>() =>
  Object.assign(
    createCacheStore<T>((error) => failures.push(error)),
    { synced: Promise.resolve() },
  );
const runners = store<Runner>();

/** What every replica mirrors of the API server. */
const caches: Caches = {
  workflows: store<Workflow>(),
  workflowRuns: store<WorkflowRun>(),
  runDecisions: store<RunDecision>(),
  runners,
  targets: store<Target>(),
  stores: store<CredentialStore>(),
  logins: store<Login>(),
};

const status: StatusWriter = {
  want: () => undefined,
  flush: async () => undefined,
  stop: async () => undefined,
};
const logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: (fields: object) => failures.push(fields),
  error: (fields: object) => failures.push(fields),
};

/** What went wrong in any replica since this was last asked. */
export const takeFailures = (): unknown[] => failures.splice(0);

export const times = { ...defaultTimes, pollMs: 15_000 };

/** One replica: the production engine on the shared database, following the others. */
export const openReplica = async (ledgerUrl: string, identity: string): Promise<Engine> => {
  const engine = await openEngine({
    dataDir: '',
    ledgerUrl,
    identity,
    caches,
    status,
    events: { record: () => undefined },
    logger,
    now: Date.now,
    times,
    queueTimeoutMs: 3_600_000,
    namespaceConcurrency: undefined,
    maxLogBytes: 2 ** 32,
  });
  await engine.begin();
  return engine;
};

let version = 0;

/** A Runner resource, and a key that joined as it. */
export const addRunner = async (
  engine: Engine,
  name: string,
  spec: RunnerSpec = {},
): Promise<AuthenticatedRunner> => {
  runners.set({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Runner',
    metadata: {
      name,
      namespace,
      uid: name,
      resourceVersion: `${++version}`,
      generation: 1,
      creationTimestamp: '2026-11-22T12:00:00Z',
    },
    spec,
  });
  const clientId = `key-${name}`;
  await engine.ledger.putRunnerIdentity({
    clientId,
    publicKey: 'x',
    namespace,
    name,
    requestedTags: null,
    permittedTags: null,
    local: false,
    registeredAt: Date.now(),
    revokedAt: null,
  });
  return { clientId, namespace, name, local: false };
};

const succeeded: TaskResult = {
  outcome: 'Succeeded',
  exitCode: 0,
  startedAt: '2026-11-22T12:00:01.000Z',
  finishedAt: '2026-11-22T12:00:02.000Z',
  log: { length: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
};

const never: AbortSignal = new AbortController().signal;

/** A runner as far as the operator sees it; each call says which replica it reaches. */
export const connect = async (
  at: Engine,
  runner: AuthenticatedRunner,
  over: Partial<SessionRequest> = {},
) => {
  const capacity = over.capacity ?? 2;
  const { session, generation } = await at.dispatch.openSession(runner, {
    protocolVersion,
    version: '0.1.0',
    startedAt: '2026-11-22T12:00:00.000Z',
    capacity,
    nodes: ['ssh-exec'],
    inventory: [],
    ...over,
  });
  const envelope = { session, generation };
  return {
    envelope,
    poll: (to: { dispatch: Dispatch }, held: readonly AttemptRef[] = [], signal: AbortSignal = never) => {
      const now = new Date().toISOString();
      return to.dispatch.poll(
        runner,
        { ...envelope, capacity, load: held.length, held: [...held], now },
        signal,
      );
    },
    accept: (to: Engine, ...attempts: readonly AttemptRef[]) =>
      to.dispatch.accept(runner, { ...envelope, attempts: [...attempts] }),
    started: (to: Engine, ref: AttemptRef) =>
      to.dispatch.report(runner, { ...envelope, reports: [{ ...ref, kind: 'Started' }] }),
    result: (to: Engine, ref: AttemptRef) =>
      to.dispatch.report(runner, { ...envelope, reports: [{ ...ref, kind: 'Result', result: succeeded }] }),
  };
};

/** A run of these tasks, all of them Ready, as the planner of this replica makes them. */
export const makeReady = async (at: Engine, run: string, ids: readonly string[]): Promise<void> => {
  const { spec } = aTaskRecord();
  const tasks: NewTask[] = ids.map((id) => ({
    id,
    stepIndex: 0,
    target: id,
    spec: { ...spec, run, runUid: run },
    tags: [],
    local: false,
  }));
  const created = await at.ledger.createRun({
    run: aNewRun({ uid: run, name: run, createdAt: Date.now() }),
    tasks,
  });
  const transitions = ids.map((task) => ({
    task,
    from: 'Pending' as const,
    to: 'Ready' as const,
    queueDeadline: Date.now() + 3_600_000,
  }));
  const plan = { runUid: run, revision: created.run.revision, transitions };
  const applied = await at.ledger.applyPlan(plan, Date.now());
  expect(applied.applied).toBe(true);
  at.board.apply(applied.tasks);
};

export const refOf = (offer: AttemptRef | undefined): AttemptRef => {
  if (!offer) throw new Error('nothing was offered');
  return { task: offer.task, epoch: offer.epoch };
};

/** Waits until this replica has heard that the task is in this state. */
export const heardOf = (at: Engine, task: string, state: string): Promise<unknown> =>
  waitFor(`the replica to hear that ${task} is ${state}`, () => at.board.get(task)?.state === state);
