import type { WorkflowSpec } from '@outrider/kinds';
import { openEngine, type Engine } from '@outrider/operator/engine';
import { keepHeapSmall } from '@outrider/operator/heap';
import { createAuthority } from '@outrider/operator/identity/ca';
import { createFolderKeyStore } from '@outrider/operator/identity/folder-key-store';
import { loadKeyMaterial } from '@outrider/operator/identity/key-material';
import { createRunnerIdentity } from '@outrider/operator/identity/runners';
import type { EventRecorder, StatusWriter } from '@outrider/operator/kube/contract';
import { createStatusWriter } from '@outrider/operator/kube/status-writer';
import { terminalStates, type TaskRecord } from '@outrider/operator/ledger/records';
import { leadingLedger } from '@outrider/operator/replicas/leading-ledger';
import { startRunnerApi } from '@outrider/operator/runner-api/server';
import { startRunnerReconciler } from '@outrider/operator/runners/reconciler';
import { defaultOperatorTimes } from '@outrider/operator/time-flags';
import { createMemoryKube } from '../harness/memory-kube.ts';
import { serveParent } from '../harness/rpc.ts';
import { benchNamespace, issuer, keysFolder, runnerName, type Server } from '../harness/site.ts';
import { createTail } from '../harness/tail.ts';
import { createMeter } from '../harness/usage.ts';

/**
 * The operator's own runner API, identity, dispatcher, planner, reconcilers, ledger and log store, with mirrors in memory in
 * place of a Kubernetes API server.
 */
export interface OperatorStart {
  readonly dataDir: string;
  /** How many Runner resources there are: all that the registrar has registered. */
  readonly runners: number;
  /** postgres://…; SQLite in `dataDir` when absent. */
  readonly ledgerUrl?: string;
  /** False for a replica that serves runners while another one leads. Default true. */
  readonly leads?: boolean;
}

const logger = {
  debug: () => {},
  info: () => {},
  warn: (fields: object, message: string) => console.error('warn', message, fields),
  error: (fields: object, message: string) => console.error('error', message, fields),
};
const kube = createMemoryKube();
const meter = createMeter();
/** Instants in milliseconds since the Unix epoch, by task. */
const readyAt = new Map<string, number>();
const ended = new Set<string>();
let engine: Engine;
let tail: ReturnType<typeof createTail> | undefined;

const note = (task: TaskRecord): void => {
  if (task.state === 'Ready' && !readyAt.has(task.id)) readyAt.set(task.id, task.readyAt ?? Date.now());
  if (terminalStates.has(task.state)) ended.add(task.id);
};

const addRunners = (count: number): void => {
  for (let i = 0; i < count; i++)
    kube.caches.runners.set({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Runner',
      metadata: kube.metadata(benchNamespace, runnerName(i)),
      spec: {},
    });
};

interface Writers {
  readonly status: StatusWriter;
  readonly events: EventRecorder;
}

const open = async ({
  dataDir,
  runners,
  ledgerUrl,
  leads = true,
}: OperatorStart): Promise<Server & { generation: string }> => {
  addRunners(runners);
  const now = Date.now;
  const keys = await loadKeyMaterial(createFolderKeyStore(keysFolder(dataDir)), now());
  const status = createStatusWriter({ client: kube.client, logger });
  const events = { record: () => {} };
  engine = await openEngine({
    dataDir,
    caches: kube.caches,
    status,
    events,
    logger,
    now,
    ledgerUrl,
    identity: `operator-${process.pid}`,
    times: defaultOperatorTimes,
    queueTimeoutMs: 3_600_000,
    namespaceConcurrency: undefined,
    maxLogBytes: 2 ** 32,
  });
  const { ledger, dispatch } = engine;
  const authority = await createAuthority({
    ca: keys.ca,
    names: ['localhost', '127.0.0.1'],
    now,
    onError: (error) => logger.error({ err: error }, 'certificate'),
  });
  const identity = await createRunnerIdentity({
    authority,
    accessKey: keys.access,
    issuer,
    url: 'https://localhost',
    ledger,
    kube: {
      get: async () => undefined,
      create: () => Promise.reject(new Error('runners of the bench are registered')),
    },
    credentials: () => Promise.reject(new Error('the bench has no credentials')),
    now,
  });
  const api = await startRunnerApi({
    identity,
    dispatch,
    generation: () => ledger.generation,
    host: '127.0.0.1',
    port: 0,
    logger,
  });
  engine.board.onTask(note);
  await engine.begin();
  if (leads) await lead({ status, events });
  return { port: api.port, caPem: authority.caPem, generation: ledger.generation };
};

/** What the leader does for all: runs, deadlines, and the status of runners. */
const lead = async ({ status, events }: Writers): Promise<void> => {
  const ledger = engine.shared
    ? leadingLedger(engine.ledger, await engine.ledger.takeTerm(), () => process.exit(1))
    : engine.ledger;
  startRunnerReconciler({
    ledger,
    runners: kube.caches.runners,
    directory: engine.sessions,
    status,
    events,
    logger,
    times: defaultOperatorTimes,
    now: Date.now,
    revoke: () => {},
  });
  await engine.lead(ledger);
};

const handlers = {
  open,
  usage: () => {
    const live = engine.sessions.all();
    const polls = live.reduce((sum, { poll }) => sum + (poll === undefined ? 0 : 1), 0);
    return { ...meter.usage(), sessions: live.length, polls };
  },
  resetLoopDelay: () => meter.reset(),
  addTargets: (count: number) => {
    for (let i = 0; i < count; i++)
      kube.caches.targets.set({
        apiVersion: 'outrider.dev/v1alpha1',
        kind: 'Target',
        metadata: { ...kube.metadata(benchNamespace, `t-${i}`), labels: { bench: 'all' } },
        spec: { type: 'SSH', host: '127.0.0.1', user: 'bench' },
      });
  },
  addWorkflow: ({ name, spec }: { name: string; spec: WorkflowSpec }) =>
    kube.caches.workflows.set({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Workflow',
      metadata: kube.metadata(benchNamespace, name),
      spec,
    }),
  startRuns: ({ workflow, names }: { workflow: string; names: readonly string[] }) => {
    for (const name of names)
      kube.caches.workflowRuns.set({
        apiVersion: 'outrider.dev/v1alpha1',
        kind: 'WorkflowRun',
        metadata: kube.metadata(benchNamespace, name),
        spec: { workflowRef: { name: workflow } },
      });
  },
  /** Tasks that have come to their end so far. */
  ended: () => ended.size,
  /** When each task was made Ready; forgotten by being asked. */
  takeReady: () => {
    const taken = [...readyAt];
    readyAt.clear();
    return taken;
  },
  statusWrites: () => kube.statusWrites(),
  diagnostics: () => engine.ledger.diagnostics(),
  follow: () => {
    tail = createTail(engine.logs);
  },
  /** Milliseconds from a line's making at the runner to its arrival at the follower. */
  tailDelays: () => tail?.delays() ?? [],
  logEnd: async ({ task }: { task: string }) => (await engine.logs.state({ task, epoch: 1 })).lines,
  logLines: ({ task, from, limit }: { task: string; from: number; limit: number }) =>
    engine.logs.lines({ task, epoch: 1 }, { from, limit }),
  /** Closes ledger and logs, so that profiles of their threads are written. */
  close: () => engine.stop(),
};
export type OperatorHandlers = typeof handlers;
keepHeapSmall();
serveParent(handlers);
