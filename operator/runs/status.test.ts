import { describe, expect, test } from 'vitest';
import type { Waiting } from '../dispatch/explain.ts';
import { taskStates, type RunRecord, type TaskRecord } from '../ledger/records.ts';
import { RunView } from '../planner/run-view.ts';
import { aRunRecord, aTaskRecord } from '../testing/builders.ts';
import { runStatus, viewStatus } from './status.ts';

const steps = [
  { name: 'check', node: 'ssh-exec', fanOut: false },
  { name: 'patch', node: 'ssh-exec', fanOut: true },
];
const known = (tasks: readonly TaskRecord[], run: Partial<RunRecord> = {}) => ({
  run: aRunRecord({ steps, ...run }),
  tasks,
});
const fan = (...states: readonly TaskRecord['state'][]): TaskRecord[] =>
  states.map((state, index) =>
    aTaskRecord({ id: `p${index}`, stepIndex: 1, target: `web-${index}`, state, epoch: 1 }),
  );
const completed = (status: ReturnType<typeof runStatus>) => status.conditions[0];

describe('a step', () => {
  test('that waits for a person says what to do, and how many more wait', () => {
    const [first, ...others] = fan('AwaitingHuman', 'AwaitingHuman', 'Running');
    const status = runStatus(known([{ ...(first as TaskRecord), epoch: 2 }, ...others]));
    expect(status.steps?.[0]).toMatchObject({
      phase: 'AwaitingHuman',
      reason: 'AwaitingHuman',
      message:
        'Nobody knows how attempt 2 ended; check, then: outrider decide restart-1 patch --target web-0 --attempt 2 --succeeded|--failed|--retry --reason TEXT. 1 more target waits.',
      attempts: 2,
    });
    expect(completed(status)).toMatchObject({ status: 'False', reason: 'AwaitingHuman' });
  });

  test('counts attempts whose end could not be checked', () => {
    const [first, second] = fan('Lost', 'TimedOut');
    const tasks = [
      { ...(first as TaskRecord), unconfirmed: 2 },
      { ...(second as TaskRecord), unconfirmed: 1 },
    ];
    expect(runStatus(known(tasks)).steps?.[0]).toMatchObject({
      phase: 'Lost',
      unconfirmed: 3,
      targets: { total: 2, succeeded: 0, failed: 2 },
    });
    expect(runStatus(known(fan('Running'))).steps?.[0]).not.toHaveProperty('unconfirmed');
  });

  test('with one task tells its runner and exit code, and not those of a probe', () => {
    const task = aTaskRecord({ state: 'Verifying', epoch: 1, runnerName: 'dc1' });
    const probe = aTaskRecord({ id: 'probe', state: 'Running', runnerName: 'dc2', probeOf: task.id });
    expect(runStatus(known([task, probe])).steps).toEqual([
      { name: 'check', phase: 'Verifying', attempts: 1, runner: 'dc1' },
    ]);
  });

  test('has a phase for every state of a task', () => {
    for (const state of taskStates) expect(runStatus(known(fan(state))).steps).toHaveLength(1);
  });
});

describe('a run', () => {
  test('that is paused says so and what still runs', () => {
    const status = runStatus(known(fan('Running', 'Blocked'), { paused: true }));
    expect(status.phase).toBe('Paused');
    expect(completed(status)).toMatchObject({
      reason: 'Paused',
      message:
        'The run is paused; set spec.desiredState to Running, or run `outrider resume`, to go on. 1 attempt goes on to the end.',
    });
    expect(runStatus(known(fan('Running'), { paused: true, cancelRequested: true })).phase).toBe('Running');
  });

  test('is Queued until a runner has begun with something', () => {
    expect(runStatus(known(fan('Pending', 'Offered'))).phase).toBe('Queued');
    expect(runStatus(known(fan('Pending', 'Claimed'))).phase).toBe('Running');
    const failed = fan('Ready').map((task) => ({ ...task, reason: 'Retrying' }));
    expect(runStatus(known(failed)).phase).toBe('Queued');
  });

  test('that waits says for what: nobody qualifies comes before a busy target', () => {
    const view = new RunView(known([aTaskRecord({ state: 'Ready' }), ...fan('Ready')]));
    const status = (...reasons: readonly Waiting['reason'][]) => {
      const waiting = new Map(reasons.map((reason, index) => [index, { reason, message: `for ${reason}` }]));
      return viewStatus({ view, observedGeneration: 1, waiting });
    };
    expect(completed(status('TargetBusy', 'NoRunner'))).toMatchObject({ reason: 'NoRunner' });
    expect(completed(status('TargetBusy', 'RunnersBusy'))).toMatchObject({ message: 'for TargetBusy' });
    expect(status('TargetBusy', 'RunnersBusy').steps?.map(({ message }) => message)).toEqual([
      'for TargetBusy',
      'for RunnersBusy',
    ]);
  });
});

test('the status of 10,000 targets is small, and a view that learned of each change says the same', () => {
  const tasks = Array.from({ length: 10_000 }, (_, index) =>
    aTaskRecord({ id: `t${index}`, stepIndex: 1, target: `web-${index}`, message: 'x'.repeat(1000) }),
  );
  const view = new RunView(known(tasks));
  for (const [index, task] of tasks.entries()) {
    const state = index % 10 === 0 ? ('Failed' as const) : ('Succeeded' as const);
    view.apply({
      run: { ...view.run, revision: view.run.revision + 1 },
      tasks: [{ ...task, state, epoch: 1 }],
    });
  }
  const status = viewStatus({ view, observedGeneration: 1, waiting: new Map() });
  expect(status.steps?.[0]?.targets).toEqual({ total: 10_000, succeeded: 9000, failed: 1000 });
  expect(JSON.stringify(status).length).toBeLessThan(2000);
  // What is older than what it has is left alone.
  view.apply({ run: aRunRecord({ steps }), tasks: tasks.slice(0, 10) });
  expect(view.steps[1]?.open).toBe(0);
});
