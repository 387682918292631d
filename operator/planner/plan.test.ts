import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { taskStates, terminalStates, type TaskRecord, type TaskState } from '../ledger/records.ts';
import { aRunRecord, aTaskRecord, start } from '../testing/builders.ts';
import { planRun } from './plan.ts';

const steps = ['one', 'two', 'three'].map((name) => ({ name, node: 'ssh-exec', fanOut: false }));
const tasksIn = (...states: TaskState[]): TaskRecord[] =>
  states.map((state, stepIndex) => aTaskRecord({ id: `t${stepIndex}`, stepIndex, state }));
const plan = (tasks: readonly TaskRecord[], run = {}) =>
  planRun({ run: aRunRecord({ steps, ...run }), tasks, now: start, queueTimeoutMs: 1000 });

describe('a sequence of steps', () => {
  test('starts with the first step alone, with a deadline for the queue', () => {
    expect(plan(tasksIn('Pending', 'Pending', 'Pending'))).toEqual({
      runUid: 'uid-restart-1',
      revision: 1,
      transitions: [{ task: 't0', from: 'Pending', to: 'Ready', queueDeadline: start + 1000 }],
    });
  });

  test('goes on with the second step once the first has succeeded', () => {
    expect(plan(tasksIn('Succeeded', 'Pending', 'Pending'))?.transitions).toEqual([
      { task: 't1', from: 'Pending', to: 'Ready', queueDeadline: start + 1000 },
    ]);
  });

  test.each(['Ready', 'Offered', 'Claimed', 'Running', 'Unknown'] as const)(
    'waits while the first step is %s',
    (state) => {
      expect(plan(tasksIn(state, 'Pending', 'Pending'))).toBeUndefined();
    },
  );

  test('succeeds when every step has', () => {
    expect(plan(tasksIn('Succeeded', 'Succeeded', 'Succeeded'))?.finish).toEqual({
      state: 'Succeeded',
      reason: 'Succeeded',
      message: 'Every step succeeded.',
    });
  });

  test.each([
    ['Failed', 'StepFailed'],
    ['TimedOut', 'TimedOut'],
    ['Lost', 'Lost'],
    ['Cancelled', 'StepFailed'],
  ] as const)('skips what follows a step that ended %s and fails with %s', (state, reason) => {
    const result = plan(tasksIn(state, 'Pending', 'Pending'));
    expect(result?.transitions.map(({ task, to }) => [task, to])).toEqual([
      ['t1', 'Skipped'],
      ['t2', 'Skipped'],
    ]);
    expect(result?.finish).toEqual({ state: 'Failed', reason, message: `Step one ended ${state}: ${state}` });
  });

  test('waits for every target of a step before it fails', () => {
    const fan = [
      aTaskRecord({ id: 'a', target: 'web-1', state: 'Failed', message: 'Exit code 3.' }),
      aTaskRecord({ id: 'b', target: 'web-2', state: 'Running' }),
    ];
    expect(plan(fan)).toBeUndefined();
    const over = [fan[0] as TaskRecord, { ...(fan[1] as TaskRecord), state: 'Succeeded' as const }];
    expect(plan(over)?.finish?.message).toBe('Step one on target web-1 ended Failed: Exit code 3.');
  });
});

describe('a cancelled run', () => {
  test('ends what has not started and waits for what runs', () => {
    const result = plan(tasksIn('Succeeded', 'Running', 'Pending'), { cancelRequested: true });
    expect(result?.transitions.map(({ task, from, to }) => [task, from, to])).toEqual([
      ['t2', 'Pending', 'Cancelled'],
    ]);
    expect(result?.finish).toBeUndefined();
  });

  test('is Cancelled once everything has ended', () => {
    expect(
      plan(tasksIn('Succeeded', 'Cancelled', 'Cancelled'), { cancelRequested: true })?.finish?.state,
    ).toBe('Cancelled');
  });

  test('stays Succeeded when every step had exited with 0 before the kill', () => {
    expect(plan(tasksIn('Succeeded', 'Succeeded'), { cancelRequested: true })?.finish?.state).toBe(
      'Succeeded',
    );
  });
});

test('a finished run is never planned again', () => {
  for (const state of ['Succeeded', 'Failed', 'Cancelled'] as const)
    expect(plan(tasksIn('Pending'), { state })).toBeUndefined();
});

test('whatever the states, a plan never touches what a runner may act on or what has ended, and a finish leaves nothing open', () => {
  const anyState = fc.constantFrom(...taskStates);
  fc.assert(
    fc.property(
      fc.array(anyState, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (states, cancelRequested) => {
        const tasks = tasksIn(...states);
        const result = plan(tasks, { cancelRequested });
        const changed = new Map(result?.transitions.map((transition) => [transition.task, transition]));
        for (const task of tasks) {
          const transition = changed.get(task.id);
          if (!transition) continue;
          expect(['Pending', 'Ready', 'Offered']).toContain(task.state);
          expect(transition.from).toBe(task.state);
        }
        if (!result?.finish) return;
        for (const task of tasks)
          expect(terminalStates.has(changed.get(task.id)?.to ?? task.state)).toBe(true);
      },
    ),
  );
});

test('whatever the states, a run that is not final has a plan or an attempt, queue or lease to wait for', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...taskStates), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (states, cancelRequested) => {
        const tasks = tasksIn(...states);
        const waitsFor = tasks.some((task) =>
          ['Ready', 'Offered', 'Claimed', 'Running', 'Unknown'].includes(task.state),
        );
        expect(plan(tasks, { cancelRequested }) !== undefined || waitsFor).toBe(true);
      },
    ),
  );
});
