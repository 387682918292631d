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

/** What a plan may move: nobody is acting on a target, or nobody knows. */
const movable: readonly TaskState[] = [
  'Pending',
  'Blocked',
  'Ready',
  'Offered',
  'Verifying',
  'AwaitingHuman',
];
/** Each of these has a deadline of its own in the ledger. */
const waitingStates: readonly TaskState[] = [
  'Blocked',
  'Ready',
  'Offered',
  'Claimed',
  'Running',
  'Unknown',
  'Verifying',
  'AwaitingHuman',
];

describe('a paused run', () => {
  test('blocks the step whose turn it is and leaves what runs alone', () => {
    const fan = [
      aTaskRecord({ id: 'a', target: 'web-1', state: 'Running' }),
      aTaskRecord({ id: 'b', target: 'web-2', state: 'Ready' }),
      aTaskRecord({ id: 'c', target: 'web-3', state: 'Pending' }),
    ];
    const blocked = {
      to: 'Blocked',
      reason: 'Paused',
      message: expect.stringContaining('spec.desiredState'),
    };
    expect(plan(fan, { paused: true })?.transitions).toEqual([
      { task: 'c', from: 'Pending', ...blocked },
      { task: 'b', from: 'Ready', ...blocked },
    ]);
  });

  test('begins no further step', () => {
    expect(plan(tasksIn('Succeeded', 'Pending'), { paused: true })?.transitions).toMatchObject([
      { task: 't1', from: 'Pending', to: 'Blocked' },
    ]);
    expect(plan(tasksIn('Succeeded', 'Blocked'), { paused: true })).toBeUndefined();
  });

  test('goes on where it stood', () => {
    expect(plan(tasksIn('Succeeded', 'Blocked', 'Pending'))?.transitions).toEqual([
      { task: 't1', from: 'Blocked', to: 'Ready', queueDeadline: start + 1000 },
    ]);
  });

  test('can be cancelled', () => {
    const result = plan(tasksIn('Succeeded', 'Blocked'), { paused: true, cancelRequested: true });
    expect(result?.transitions).toMatchObject([{ task: 't1', from: 'Blocked', to: 'Cancelled' }]);
    expect(result?.finish?.state).toBe('Cancelled');
  });
});

describe('lost work', () => {
  test.each(['Verifying', 'AwaitingHuman'] as const)(
    'keeps the run open while it is %s, and ends with the run when that is cancelled',
    (state) => {
      expect(plan(tasksIn(state, 'Pending'))).toBeUndefined();
      const cancelled = plan(tasksIn(state, 'Pending'), { cancelRequested: true });
      expect(cancelled?.transitions).toMatchObject([
        { task: 't1', from: 'Pending', to: 'Cancelled' },
        { task: 't0', from: state, to: 'Cancelled' },
      ]);
      expect(cancelled?.finish?.state).toBe('Cancelled');
    },
  );

  test('a probe is no part of its step, and the run ends after it', () => {
    const probe = aTaskRecord({ id: 'p', state: 'Running', probeOf: 't0' });
    expect(plan([...tasksIn('Succeeded'), probe])).toBeUndefined();
    const over = { ...probe, state: 'Cancelled' as const };
    expect(plan([...tasksIn('Succeeded'), over])?.finish?.state).toBe('Succeeded');
  });

  test('a run whose object is gone ends as Orphaned', () => {
    const input = { run: aRunRecord({ steps, cancelRequested: true }), tasks: tasksIn('Ready') };
    const result = planRun({ ...input, now: start, queueTimeoutMs: 1000, orphaned: true });
    expect(result?.finish).toEqual({
      state: 'Cancelled',
      reason: 'Orphaned',
      message: 'The WorkflowRun was deleted before the run had ended, so it was cancelled.',
    });
  });
});

describe('a restored run', () => {
  test('asks a person about a step that nobody vouched for instead of executing it', () => {
    const tasks = tasksIn('Succeeded', 'Pending').map((task) => ({ ...task, uncertain: task.id === 't1' }));
    expect(plan(tasks)?.transitions).toMatchObject([
      { task: 't1', from: 'Pending', to: 'AwaitingHuman', reason: 'AwaitingHuman' },
    ]);
  });

  test('is not planned before recovery is over', () => {
    const input = { run: aRunRecord({ steps }), tasks: tasksIn('Pending') };
    expect(planRun({ ...input, now: start, queueTimeoutMs: 1000, recovering: true })).toBeUndefined();
  });
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
          expect(movable).toContain(task.state);
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
        const waitsFor = tasks.some((task) => waitingStates.includes(task.state));
        expect(plan(tasks, { cancelRequested }) !== undefined || waitsFor).toBe(true);
      },
    ),
  );
});
