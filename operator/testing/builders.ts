import type { Target, Workflow, WorkflowRun, WorkflowSpec } from '@outrider/kinds';
import type { NewRun, RunRecord, TaskRecord } from '../ledger/records.ts';

/** Objects for tests, complete and valid; a test says only what it is about. */
const metadata = (name: string) => ({
  name,
  namespace: 'payments',
  uid: `uid-${name}`,
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: '2026-11-22T12:00:00Z',
});

export const start = Date.parse('2026-11-22T12:00:00Z');

export const aWorkflow = (spec: Partial<WorkflowSpec> = {}, name = 'restart'): Workflow => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'Workflow',
  metadata: metadata(name),
  spec: { steps: [{ name: 'greet', node: 'local-exec', script: 'echo hello' }], ...spec },
});

export const aRun = (
  over: Partial<Pick<WorkflowRun, 'spec' | 'status'>> = {},
  name = 'restart-1',
): WorkflowRun => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'WorkflowRun',
  metadata: metadata(name),
  spec: { workflowRef: { name: 'restart' } },
  ...over,
});

export const aTarget = (
  name: string,
  spec: Target['spec'],
  labels: Readonly<Record<string, string>> = {},
): Target => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'Target',
  metadata: { ...metadata(name), labels },
  spec,
});

export const aRunRecord = (over: Partial<RunRecord> = {}): RunRecord => ({
  uid: 'uid-restart-1',
  namespace: 'payments',
  name: 'restart-1',
  specDigest: '0'.repeat(64),
  workflow: { name: 'restart', uid: 'uid-restart', generation: 1, digest: `sha256:${'0'.repeat(64)}` },
  steps: [{ name: 'greet', node: 'local-exec', fanOut: false }],
  requestedBy: null,
  state: 'Running',
  reason: null,
  message: null,
  cancelRequested: false,
  paused: false,
  priority: 0,
  createdAt: start,
  finishedAt: null,
  revision: 1,
  ...over,
});

export const aTaskRecord = (over: Partial<TaskRecord> = {}): TaskRecord => ({
  id: 'task-1',
  runUid: 'uid-restart-1',
  stepIndex: 0,
  target: '',
  spec: {
    namespace: 'payments',
    run: 'restart-1',
    runUid: 'uid-restart-1',
    workflow: 'restart',
    step: 'greet',
    node: 'ssh-exec',
    input: { script: 'echo hello' },
    timeoutMs: 60_000,
  },
  tags: [],
  local: false,
  state: 'Pending',
  epoch: 0,
  cancelRequested: false,
  runner: null,
  runnerName: null,
  session: null,
  readyAt: null,
  queueDeadline: null,
  offerExpiresAt: null,
  leaseExpiresAt: null,
  unknownSince: null,
  deadline: null,
  claimedAt: null,
  startedAt: null,
  finishedAt: null,
  result: null,
  reason: null,
  message: null,
  onLost: 'Fail',
  priority: 0,
  retriesLeft: 0,
  notBefore: null,
  crashes: 0,
  uncertain: false,
  probeOf: null,
  lockKey: null,
  lockMax: null,
  unconfirmed: 0,
  ...over,
});

export const aNewRun = (over: Partial<NewRun> = {}): NewRun => {
  const { uid, namespace, name, specDigest, workflow, steps, requestedBy, createdAt } = aRunRecord();
  return { uid, namespace, name, specDigest, workflow, steps, requestedBy, createdAt, ...over };
};
