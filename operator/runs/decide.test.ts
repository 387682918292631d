import { expect, test } from 'vitest';
import type { WorkflowRunStatus } from '@outrider/kinds';
import { aRun, aRunRecord, aWorkflow, start } from '../testing/builders.ts';
import { decideStart, heldBack, wantedPause } from './decide.ts';

const decide = (
  over: Parameters<typeof aRun>[0] = {},
  given: { workflow?: ReturnType<typeof aWorkflow>; now?: number } = {},
) => decideStart({ run: aRun(over), workflow: given.workflow, targets: [], now: given.now ?? start });
const spec = { workflowRef: { name: 'restart' } };

test('a run of a missing workflow stays Queued with WorkflowNotFound until its start deadline', () => {
  const decision = decide({ spec: { ...spec, startDeadline: '10m' } });
  expect(decision).toMatchObject({ action: 'Wait', at: start + 600_000, status: { phase: 'Queued' } });
  expect(decision.action === 'Wait' && decision.status.conditions[0]).toEqual({
    type: 'Completed',
    status: 'False',
    reason: 'WorkflowNotFound',
    message: 'Namespace payments has no Workflow "restart". Apply it; the run starts by itself.',
  });
});

test('beyond its start deadline a waiting run fails with Expired and says what it waited for', () => {
  const decision = decide({ spec: { ...spec, startDeadline: '10m' } }, { now: start + 600_000 });
  expect(decision).toMatchObject({
    action: 'End',
    status: { phase: 'Failed', completionTime: '2026-11-22T12:10:00Z' },
  });
  expect(decision.action === 'End' && decision.status.conditions[0]).toEqual({
    type: 'Completed',
    status: 'True',
    reason: 'Expired',
    message:
      'The run could not start within its startDeadline (10m); nothing was executed. Namespace payments has no Workflow "restart". Apply it, then start a new run.',
  });
});

test('a run that is found after its start deadline fails with Expired though everything is there', () => {
  const decision = decide(
    { spec: { ...spec, startDeadline: '10m' } },
    { workflow: aWorkflow(), now: start + 600_000 },
  );
  expect(decision.action === 'End' && decision.status.conditions[0]?.message).toBe(
    'The run could not start within its startDeadline (10m); nothing was executed. If the work is still wanted, start a new run.',
  );
});

test('a run that says it had started, and is not in the ledger, is Lost and never started again', () => {
  const status: WorkflowRunStatus = { phase: 'Running', startTime: '2026-11-22T11:00:00Z' };
  const decision = decide({ status }, { workflow: aWorkflow() });
  expect(decision.action === 'End' && decision.status.conditions[0]?.reason).toBe('Lost');
});

test('a run that is completed is left alone', () => {
  const status: WorkflowRunStatus = {
    conditions: [
      {
        type: 'Completed',
        status: 'True',
        reason: 'Succeeded',
        message: '',
        lastTransitionTime: '2026-11-22T11:00:00Z',
      },
    ],
  };
  expect(decide({ status }, { workflow: aWorkflow() })).toEqual({ action: 'Ignore' });
});

test('a run cancelled before its start ends Cancelled without starting', () => {
  expect(decide({ spec: { ...spec, desiredState: 'Cancelled' } }, { workflow: aWorkflow() })).toMatchObject({
    action: 'End',
    status: { phase: 'Cancelled' },
  });
});

test('a run with a workflow starts', () => {
  expect(decide({}, { workflow: aWorkflow() })).toMatchObject({
    action: 'Start',
    run: { name: 'restart-1' },
  });
});

test('a pause is wanted when the object and the ledger differ, and of no run that ends', () => {
  const wanted = (desiredState: 'Running' | 'Paused', known: Parameters<typeof aRunRecord>[0] = {}) =>
    wantedPause(aRun({ spec: { ...spec, desiredState } }), { run: aRunRecord(known) });
  expect(wanted('Paused')).toBe(true);
  expect(wanted('Paused', { paused: true })).toBeUndefined();
  expect(wanted('Running', { paused: true })).toBe(false);
  expect(wanted('Running')).toBeUndefined();
  expect(wanted('Paused', { cancelRequested: true })).toBeUndefined();
  expect(wanted('Paused', { state: 'Succeeded' })).toBeUndefined();
});

test('a run that is to start in recovery is Queued and says why', () => {
  expect(heldBack(aRun(), start)).toMatchObject({
    phase: 'Queued',
    conditions: [{ type: 'Completed', status: 'False', reason: 'RecoveryActive' }, {}],
  });
});
