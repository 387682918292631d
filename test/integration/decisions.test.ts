import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RunDecisionSpec, WorkflowRun } from '@outrider/kinds';
import { startDecisionReconciler } from '@outrider/operator/decisions/reconciler';
import { Board } from '@outrider/operator/dispatch/board';
import type { Condition } from '@outrider/operator/kube/conditions';
import type { Controller } from '@outrider/operator/kube/controller';
import { createEventRecorder } from '@outrider/operator/kube/events';
import { runDecisions, workflowRuns } from '@outrider/operator/kube/resources';
import { createStatusWriter } from '@outrider/operator/kube/status-writer';
import { newRun, newTask } from '@outrider/operator/ledger/invariants/builders';
import type { Ledger, Speaker } from '@outrider/operator/ledger/ledger';
import { openSqliteLedger } from '@outrider/operator/ledger/sqlite/open';
import type { LogStore } from '@outrider/operator/logs/contract';
import { openSqliteLogStore } from '@outrider/operator/logs/open';
import { Footprint } from '../servers/footprint.ts';
import { waitFor } from '../servers/wait.ts';
import { useNamespace } from './cluster.ts';
import { kubeClient, recordingLogger } from './kube-fixture.ts';
import { create, startCaches } from './reconcilers-fixture.ts';

const cluster = useNamespace('decisions');
const { namespace } = cluster;
const client = kubeClient(cluster.controlPlane);
const logger = recordingLogger();
const stop = new AbortController();
const status = createStatusWriter({ client, logger });
const events = createEventRecorder({ client, logger, instance: 'test' });
const footprint = Footprint.temporary('decisions');
const now = Date.now();
const by: Speaker = { clientId: 'key-1', runnerName: 'edge', session: 'session-1' };

let ledger: Ledger;
let logs: LogStore;
let controller: Controller;
const startReconciler = (): Controller =>
  startDecisionReconciler({
    ...startCaches(client, namespace, stop.signal),
    ledger,
    logs,
    board: new Board(),
    status,
    events,
    logger,
    now: Date.now,
  });

beforeAll(async () => {
  ledger = await openSqliteLedger({ file: join(footprint.subfolder('ledger'), 'ledger.db') });
  logs = await openSqliteLogStore({ dir: footprint.subfolder('logs') });
  await ledger.openSession({ by, inventory: [], now, leaseExpiresAt: now + 90_000 });
  controller = startReconciler();
});
afterAll(async () => {
  await controller.stop();
  await status.stop();
  await events.stop();
  stop.abort();
  await ledger.close();
  await logs.close();
  await footprint.end();
});

/** A run whose only step waits for a person: its runner was lost in the middle. */
const lostRun = async (name: string): Promise<WorkflowRun> => {
  const run = await create<WorkflowRun>(client, workflowRuns, {
    namespace,
    name,
    spec: { workflowRef: { name: 'restart-web' } },
  });
  const { uid } = run.metadata;
  const task = `task-${name}`;
  const { spec, ...rest } = newTask(task, uid, 1);
  await ledger.createRun({
    run: newRun(uid, now, { namespace, name }),
    tasks: [{ ...rest, spec: { ...spec, namespace, run: name, runUid: uid, onLost: 'Ask' } }],
  });
  const transitions = [{ task, from: 'Pending', to: 'Ready' }] as const;
  await ledger.applyPlan({ runUid: uid, revision: 1, transitions }, now);
  const [epoch, expiresAt] = [1, now + 10_000];
  await ledger.offerTasks({ to: by, tasks: [{ task, epoch: 0 }], now, expiresAt });
  await ledger.acceptAttempts({ by, attempts: [{ task, epoch }], now, leaseExpiresAt: now + 90_000 });
  await ledger.recordReports({ by, reports: [{ task, epoch, kind: 'Started' }], now });
  await ledger.markUnknown({ attempts: [{ task, epoch }], now, reason: 'Lost' });
  await ledger.expire({ now: now + 1, graceMs: 0 });
  expect(await stateOf(name)).toBe('AwaitingHuman');
  return run;
};

const stateOf = async (name: string): Promise<string | undefined> =>
  (await ledger.readTask(`task-${name}`))?.state;

/** The verdict on a decision, once there is one. */
const verdict = (name: string): Promise<Condition> =>
  waitFor(`a verdict on ${name}`, async () => {
    const text = await cluster.mustKubectl(['get', 'rundecision', name, '-o', 'json']);
    const found = JSON.parse(text) as { status?: { conditions?: Condition[] } };
    return found.status?.conditions?.find(({ type }) => type === 'Applied');
  });

const decide = async (
  run: WorkflowRun,
  name: string,
  change: Partial<RunDecisionSpec> = {},
): Promise<Condition> => {
  const spec: RunDecisionSpec = {
    runRef: { name: run.metadata.name, uid: run.metadata.uid },
    workflow: 'restart-web',
    step: 'restart',
    target: 'web-1',
    attempt: 1,
    decision: 'Succeeded',
    reason: 'the service is up',
    decidedBy: 'admin',
    ...change,
  };
  await create(client, runDecisions, { namespace, name, spec });
  return verdict(name);
};

test.each([
  ['Succeeded', 'Succeeded', 'Attempt 1 of step restart counts as succeeded.'],
  ['Failed', 'Failed', 'Attempt 1 of step restart counts as failed.'],
  ['Retry', 'Ready', 'Attempt 1 of step restart is followed by another one.'],
] as const)('the decision %s makes the step %s', async (decision, state, message) => {
  const name = `run-${decision.toLowerCase()}`;
  const run = await lostRun(name);
  expect(await decide(run, `${name}-1`, { decision })).toMatchObject({
    status: 'True',
    reason: 'Applied',
    message,
    observedGeneration: 1,
  });
  expect(await stateOf(name)).toBe(state);
  expect((await logs.state({ task: `task-${name}`, epoch: 1 })).end).toBe('Incomplete');
  const [record] = await ledger.listAudit({ limit: 1, object: `Run/${run.metadata.uid}` });
  expect(record).toMatchObject({
    actor: 'admin',
    action: 'Decide',
    details: { step: 'restart', target: 'web-1', epoch: 1, decision, reason: 'the service is up' },
  });
  await waitFor('the Event on the run', async () => {
    const notes = await cluster.mustKubectl(['get', 'events', '-o', 'jsonpath={.items[*].message}']);
    return notes.includes(
      `admin decided ${decision} for attempt 1 of step restart on target web-1: the service is up`,
    );
  });
});

test('a second decision about the same attempt changes nothing, and says so', async () => {
  const run = await lostRun('twice');
  expect((await decide(run, 'twice-1', { decision: 'Failed' })).status).toBe('True');
  const second = await decide(run, 'twice-2', { decision: 'Succeeded' });
  expect([second.status, second.reason]).toEqual(['False', 'StateMismatch']);
  expect(second.message).toContain(
    'Attempt 1 of step restart on target web-1 waits for no decision: it is Failed.',
  );
  expect(await stateOf('twice')).toBe('Failed');
});

test.each([
  ['another attempt', { attempt: 2 }, 'EpochMismatch', 'The decision is about attempt 2'],
  ['another step', { step: 'stop' }, 'NotFound', 'The run has no step stop on target web-1.'],
  [
    'another workflow',
    { workflow: 'harmless' },
    'Forbidden',
    'is one of workflow restart-web, not of harmless.',
  ],
  ['another run', { runRef: { name: 'other', uid: 'u' } }, 'NotFound', 'has no run "other" with uid u'],
] as const)('a decision about %s is refused', async (about, change, reason, words) => {
  const name = `mismatch-${about.replace(' ', '-')}`;
  const run = await lostRun(name);
  const answer = await decide(run, `${name}-1`, change);
  expect([answer.status, answer.reason]).toEqual(['False', reason]);
  expect(answer.message).toContain(words);
  expect(await stateOf(name)).toBe('AwaitingHuman');
});

test('a decision that was applied, and whose status was not written, is not applied again', async () => {
  const run = await lostRun('crashed');
  await decide(run, 'crashed-1', { decision: 'Retry' });
  const at = await ledger.listAudit({ limit: 10, object: `Run/${run.metadata.uid}` });
  await client.patch(
    runDecisions,
    { namespace, name: 'crashed-1' },
    {
      body: { status: { conditions: null } },
      subresource: 'status',
    },
  );
  await controller.stop();
  controller = startReconciler();
  expect(await verdict('crashed-1')).toMatchObject({ status: 'True', reason: 'Applied' });
  expect(await ledger.listAudit({ limit: 10, object: `Run/${run.metadata.uid}` })).toEqual(at);
  expect(await ledger.readTask('task-crashed')).toMatchObject({ state: 'Ready', epoch: 1 });
});

test('kubectl lists decisions with who made them and what became of them', async () => {
  await decide(await lostRun('listed'), 'listed-1', { attempt: 2 });
  const listed = await cluster.mustKubectl(['get', 'rundecisions', '-o', 'wide']);
  const [head, ...rows] = listed.trimEnd().split('\n');
  expect(head?.split(/ {2,}/)).toEqual([
    'NAME',
    'RUN',
    'STEP',
    'TARGET',
    'ATTEMPT',
    'DECISION',
    'DECIDED BY',
    'APPLIED',
    'REASON',
    'WHY',
    'AGE',
  ]);
  const row = rows.find((each) => each.startsWith('listed-1 '));
  expect(row?.split(/ {2,}/).slice(0, 10)).toEqual([
    'listed-1',
    'listed',
    'restart',
    'web-1',
    '2',
    'Succeeded',
    'admin',
    'False',
    'EpochMismatch',
    'the service is up',
  ]);
});
