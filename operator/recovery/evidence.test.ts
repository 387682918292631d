import { expect, test } from 'vitest';
import type { WorkflowRunStatus } from '@outrider/kinds';
import { aRun, aRunRecord, aTaskRecord } from '../testing/builders.ts';
import { restoreEvidence, type RestoreFacts } from './evidence.ts';

const meta = {
  generation: 'g2',
  formerGenerations: ['g1'],
  term: 0,
  sequence: 40,
  recovery: null,
} satisfies RestoreFacts['meta'];

const evidence = (over: Partial<RestoreFacts> = {}): string | undefined =>
  restoreEvidence({
    meta,
    witness: { generation: 'g2', sequence: 40, confirmed: undefined },
    runs: [],
    ...over,
  });

const begun: WorkflowRunStatus = {
  phase: 'Running',
  startTime: '2026-11-22T12:00:00Z',
  steps: [{ name: 'greet', phase: 'Running', attempts: 1 }],
};
const ended: WorkflowRunStatus = {
  ...begun,
  phase: 'Succeeded',
  completionTime: '2026-11-22T12:00:09Z',
};
const known = {
  run: aRunRecord(),
  tasks: [aTaskRecord({ state: 'Running', epoch: 1 })],
};

test('a ledger that is level with the cluster, or ahead of it, is the true one', () => {
  expect(evidence()).toBeUndefined();
  expect(evidence({ witness: { generation: 'g2', sequence: 39, confirmed: undefined } })).toBeUndefined();
  expect(evidence({ witness: { generation: 'g1', sequence: 40, confirmed: undefined } })).toBeUndefined();
  expect(evidence({ runs: [{ run: aRun({ status: begun }), known }] })).toBeUndefined();
  expect(evidence({ runs: [{ run: aRun(), known }] })).toBeUndefined();
  const over = { ...known, run: aRunRecord({ state: 'Succeeded' }) };
  expect(evidence({ runs: [{ run: aRun({ status: begun }), known: over }] })).toBeUndefined();
});

test.each([
  [
    'another generation',
    { witness: { generation: 'g9', sequence: 1, confirmed: undefined } },
    'The ledger is of generation g2, and this installation last worked with generation g9: another ledger was put in its place, or it was lost and began anew.',
  ],
  [
    'a later sequence in the cluster',
    { witness: { generation: 'g2', sequence: 41, confirmed: undefined } },
    'The ledger stands at sequence 40, and the cluster has seen it at 41: a copy from before was put back.',
  ],
  [
    'a run that has begun and is not known',
    { runs: [{ run: aRun({ status: begun }), known: undefined }] },
    'A copy of the ledger was put back: WorkflowRun payments/restart-1 shows that it has begun, and the ledger does not know it.',
  ],
  [
    'a run that has ended and is open',
    { runs: [{ run: aRun({ status: ended }), known }] },
    'A copy of the ledger was put back: WorkflowRun payments/restart-1 shows that it has ended, and in the ledger it has not.',
  ],
  [
    'a later attempt',
    {
      runs: [
        {
          run: aRun({ status: { ...begun, steps: [{ name: 'greet', phase: 'Running', attempts: 2 }] } }),
          known,
        },
      ],
    },
    'A copy of the ledger was put back: WorkflowRun payments/restart-1 shows attempt 2 of step greet, and the ledger knows of 1.',
  ],
] satisfies readonly (readonly [string, Partial<RestoreFacts>, string])[])(
  '%s shows that a copy was put back',
  (_, facts, words) => {
    expect(evidence(facts)).toBe(words);
  },
);
