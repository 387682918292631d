import type { DecisionView } from '@outrider/portal';
import { describe, expect, test } from 'vitest';
import type { AuditRecord } from '../ledger/records.ts';
import { aRun, aRunRecord, aTaskRecord, start } from '../testing/builders.ts';
import { decisionView, runDetails, runView, taskView } from './views.ts';

const log = { offset: 0, lines: 0, end: 'Open' } as const;

describe('a task', () => {
  test('says of how many of its attempts something may be left', () => {
    expect(taskView(aTaskRecord({ unconfirmed: 2 }), log)).toMatchObject({ unconfirmed: 2 });
    expect(taskView(aTaskRecord(), log)).not.toHaveProperty('unconfirmed');
  });

  test('says whose lost attempt it finds out about', () => {
    expect(taskView(aTaskRecord({ probeOf: 'task-0' }), log)).toMatchObject({ probeOf: 'task-0' });
    expect(taskView(aTaskRecord(), log)).not.toHaveProperty('probeOf');
  });
});

describe('a run', () => {
  const run = aRun();

  test('adds up what may be left of its attempts, and has its priority as it was frozen', () => {
    const tasks = [
      aTaskRecord({ id: 'a', unconfirmed: 1 }),
      aTaskRecord({ id: 'b', unconfirmed: 2 }),
      aTaskRecord({ id: 'c' }),
    ];
    const view = runView(run, { run: aRunRecord({ priority: -100 }), tasks });
    expect([view.unconfirmed, view.priority]).toEqual([3, -100]);
  });

  test('is silent on what is as usual', () => {
    const details = runDetails(run, {
      ledger: { run: aRunRecord(), tasks: [aTaskRecord()] },
      tasks: [],
      history: [],
    });
    for (const name of ['unconfirmed', 'priority', 'history']) expect(details).not.toHaveProperty(name);
  });
});

describe('the history of a run', () => {
  const record: AuditRecord = {
    at: start,
    actor: 'ann',
    action: 'Decide',
    object: 'Run/uid-restart-1',
    details: {
      step: 'greet',
      target: 'web-1',
      epoch: 2,
      decision: 'Retry',
      reason: 'uptime 40 days',
      applied: true,
    },
  };
  const view: DecisionView = {
    at: '2026-11-22T12:00:00.000Z',
    by: 'ann',
    step: 'greet',
    target: 'web-1',
    attempt: 2,
    decision: 'Retry',
    reason: 'uptime 40 days',
    applied: true,
  };

  test('has the decisions of people', () => {
    expect(decisionView(record)).toEqual(view);
    expect(runDetails(aRun(), { ledger: undefined, tasks: [], history: [view] }).history).toEqual([view]);
  });

  test('has nothing else of the audit trail', () => {
    expect(decisionView({ ...record, action: 'LateResult' })).toBeUndefined();
    expect(decisionView({ ...record, details: {} })).toBeUndefined();
  });
});
