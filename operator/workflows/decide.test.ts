import type { WorkflowRun, WorkflowRunStatus, WorkflowStatus } from '@outrider/kinds';
import { describe, expect, test } from 'vitest';
import { findCondition } from '../kube/conditions.ts';
import { aRun, aWorkflow, start } from '../testing/builders.ts';
import { decideWorkflow, type WorkflowFacts } from './decide.ts';
import { missingReferences } from './references.ts';

const nothing = { targets: [], stores: [] };
const decide = (over: Partial<WorkflowFacts> = {}): WorkflowStatus =>
  decideWorkflow({ workflow: aWorkflow(), missing: nothing, runs: [], now: start, ...over });

const said = (status: WorkflowStatus, type: string) => {
  const condition = findCondition(status.conditions, type);
  return [condition?.status, condition?.reason, condition?.message];
};

const finished = (name: string, at: string, status: WorkflowRunStatus): WorkflowRun =>
  aRun({ status: { completionTime: at, ...status } }, name);

const failure = (message: string) => ({
  conditions: [
    {
      type: 'Succeeded',
      status: 'False' as const,
      reason: 'StepFailed',
      message,
      lastTransitionTime: '2026-11-22T12:00:00Z',
    },
  ],
});

describe('what a workflow refers to', () => {
  test('nothing missing', () => {
    expect(said(decide(), 'ReferencesResolved')).toEqual([
      'True',
      'Resolved',
      'Every Target and CredentialStore that it names exists.',
    ]);
  });

  test('a missing Target and stores are named, and the spec is accepted all the same', () => {
    const status = decide({ missing: { targets: ['web-1'], stores: ['prod', 'vault'] } });
    expect(said(status, 'ReferencesResolved')).toEqual([
      'False',
      'TargetNotFound',
      'Namespace payments has no Target web-1, and no CredentialStores prod and vault. Create what is missing or correct the names; steps that need it fail until then.',
    ]);
    expect(said(status, 'Ready')).toEqual(['True', 'Accepted', 'The spec is accepted.']);
  });

  test('missing stores alone have a reason of their own', () => {
    expect(
      said(decide({ missing: { targets: [], stores: ['vault'] } }), 'ReferencesResolved').slice(0, 2),
    ).toEqual(['False', 'StoreNotFound']);
  });

  test('steps are searched in every place that can name one, and the built-in store exists always', () => {
    const { spec } = aWorkflow({
      steps: [
        { node: 'ssh-exec', script: 'true', target: { name: 'web-1' }, credential: 'secret:key' },
        {
          node: 'ssh-exec',
          script: 'true',
          targets: { names: ['web-2', 'web-1', 'web-3'] },
          credential: 'vault:a',
        },
        { node: 'ssh-exec', script: 'true', target: { host: 'h', credential: 'prod:b/c' } },
      ],
    });
    const exists = { target: (name: string) => name === 'web-3', store: (name: string) => name === 'vault' };
    expect(missingReferences(spec, exists)).toEqual({ targets: ['web-1', 'web-2'], stores: ['prod'] });
  });
});

describe('how the last run of a workflow ended', () => {
  const succeeded = finished('first', '2026-11-22T10:00:00Z', { phase: 'Succeeded' });
  const failed = finished('second', '2026-11-22T11:00:00Z', {
    phase: 'Failed',
    ...failure('Step restart failed.'),
  });

  const table: readonly [string, Partial<WorkflowFacts>, readonly unknown[]][] = [
    [
      'no run has finished',
      { runs: [aRun({ status: { phase: 'Running' } })] },
      ['Unknown', 'NeverRan', 'No run of it has finished yet.'],
    ],
    ['it succeeded', { runs: [succeeded] }, ['True', 'Succeeded', 'The run that finished last succeeded.']],
    [
      'the newest one counts, in whatever order they come',
      { runs: [failed, succeeded] },
      ['False', 'StepFailed', 'WorkflowRun second failed: Step restart failed.'],
    ],
    [
      'a cancelled run did not succeed',
      { runs: [finished('third', '2026-11-22T11:30:00Z', { phase: 'Cancelled' })] },
      ['False', 'Cancelled', 'WorkflowRun third was cancelled.'],
    ],
    [
      'a run of an earlier workflow of the same name does not count',
      {
        runs: [
          finished('old', '2026-11-22T11:30:00Z', {
            phase: 'Succeeded',
            workflow: { name: 'restart', uid: 'uid-before', generation: 1, digest: 'sha256:0' },
          }),
        ],
      },
      ['Unknown', 'NeverRan', 'No run of it has finished yet.'],
    ],
  ];
  test.each(table)('%s', (_, facts, expected) => {
    expect(said(decide(facts), 'LastRunSucceeded')).toEqual(expected);
  });

  test('stays known when the run was removed', () => {
    const workflow = { ...aWorkflow(), status: decide({ runs: [failed] }) };
    expect(said(decide({ workflow, now: start + 60_000 }), 'LastRunSucceeded')).toEqual([
      'False',
      'StepFailed',
      'WorkflowRun second failed: Step restart failed.',
    ]);
  });

  test('nothing differs in the status when another run succeeds', () => {
    const workflow = { ...aWorkflow(), status: decide({ runs: [succeeded] }) };
    const again = finished('again', '2026-11-22T11:45:00Z', { phase: 'Succeeded' });
    expect(decide({ workflow, runs: [succeeded, again], now: start + 60_000 })).toEqual(workflow.status);
  });
});
