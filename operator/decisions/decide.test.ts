import type { RunDecision, RunDecisionSpec } from '@outrider/kinds';
import { describe, expect, test } from 'vitest';
import { aRunRecord } from '../testing/builders.ts';
import { refusalOf, verdictOn } from './decide.ts';

const aDecision = (spec: Partial<RunDecisionSpec> = {}, namespace = 'payments'): RunDecision => ({
  apiVersion: 'outrider.dev/v1alpha1',
  kind: 'RunDecision',
  metadata: {
    name: 'restart-1-x7k2p',
    namespace,
    uid: 'uid-decision',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-11-22T12:00:00Z',
  },
  spec: {
    runRef: { name: 'restart-1', uid: 'uid-restart-1' },
    workflow: 'restart',
    step: 'greet',
    attempt: 1,
    decision: 'Succeeded',
    reason: 'the pods are new',
    decidedBy: 'ann',
    ...spec,
  },
});

const unknownRun = (name: string, namespace = 'payments') => ({
  code: 'NotFound',
  message: `Namespace ${namespace} has no run "${name}" with uid uid-restart-1 that has started.`,
  action: `Decide again with name and uid as \`kubectl -n ${namespace} get workflowrun ${name} -o yaml\` shows them.`,
});

describe('a decision', () => {
  test('reaches the ledger when its run is of the workflow that it names', () => {
    expect(refusalOf(aDecision(), aRunRecord())).toBeUndefined();
  });

  test('is refused when the ledger knows no such run', () => {
    expect(refusalOf(aDecision(), undefined)).toEqual(unknownRun('restart-1'));
  });

  test('is refused when name and uid belong to different runs', () => {
    const runRef = { name: 'restart-2', uid: 'uid-restart-1' };
    expect(refusalOf(aDecision({ runRef }), aRunRecord())).toEqual(unknownRun('restart-2'));
  });

  test('learns nothing of a run of another namespace', () => {
    expect(refusalOf(aDecision({}, 'other'), aRunRecord())).toEqual(unknownRun('restart-1', 'other'));
  });

  test('is refused when it names another workflow than that of the run, which its author may not approve', () => {
    expect(refusalOf(aDecision({ workflow: 'harmless' }), aRunRecord())).toEqual({
      code: 'Forbidden',
      message: 'Run restart-1 is one of workflow restart, not of harmless.',
      action: 'Decide again with workflow: restart, which takes permission to approve that one.',
    });
  });
});

describe('its condition', () => {
  test.each([
    ['Succeeded', 'Attempt 1 of step greet counts as succeeded.'],
    ['Failed', 'Attempt 1 of step greet counts as failed.'],
    ['Retry', 'Attempt 1 of step greet is followed by another one.'],
    ['Release', 'Attempt 1 of step greet no longer keeps its target from others.'],
  ] as const)('says what became of it: %s', (decision, message) => {
    expect(verdictOn(aDecision({ decision }), undefined)).toEqual({
      type: 'Applied',
      status: 'True',
      reason: 'Applied',
      message,
    });
  });

  test('says why nothing became of it, and what to do', () => {
    const problem = {
      code: 'EpochMismatch',
      message: 'It is at attempt 2.',
      action: 'See describe.',
    } as const;
    expect(verdictOn(aDecision(), problem)).toEqual({
      type: 'Applied',
      status: 'False',
      reason: 'EpochMismatch',
      message: 'It is at attempt 2. See describe.',
    });
  });
});
