import type { RunDetails, RunnerView } from '@outrider/portal';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { plain } from '../output/style.ts';
import { renderTable } from '../output/table.ts';
import { Installation } from '../testing/installation.ts';
import { runColumns } from './runs.ts';
import { runnerColumns } from './runners.ts';

const now = Date.parse('2026-11-22T12:00:00Z');
let installation: Installation;
beforeEach(async () => {
  installation = await Installation.start();
});
afterEach(() => installation.close());

const run: RunDetails = {
  namespace: 'team-a',
  name: 'patch-x1',
  uid: 'u',
  workflow: 'patch',
  phase: 'Failed',
  reason: 'StepFailed',
  message: 'Step two failed.',
  requestedBy: 'ann',
  createdAt: '2026-11-22T11:50:00Z',
  startedAt: '2026-11-22T11:50:01Z',
  finishedAt: '2026-11-22T11:52:01Z',
  tasks: [
    {
      id: 't1',
      step: 'two',
      target: 'web-1',
      node: 'ssh-exec',
      state: 'Failed',
      epoch: 1,
      runner: 'edge',
      exitCode: 7,
      reason: 'NonZeroExit',
      message: 'The script ended\nwith exit code 7.',
      unconfirmed: 1,
      startedAt: '2026-11-22T11:50:02.000Z',
      finishedAt: '2026-11-22T11:50:03.500Z',
      log: { lines: 2, bytes: 20, end: 'Complete' },
    },
  ],
};

test('runs are listed with what failed and for how long they went', () => {
  expect(renderTable(runColumns(plain, now, [run]), [run], { wide: true })).toBe(
    'NAME       WORKFLOW   PHASE    REASON       DURATION   AGE   PRIORITY   REQUESTED BY   MESSAGE\n' +
      'patch-x1   patch      Failed   StepFailed   2m         10m   -          ann            Step two failed.\n',
  );
});

test('runs of which something may still run on a target stand out', () => {
  const unsure: RunDetails = { ...run, name: 'patch-x2', unconfirmed: 2 };
  expect(renderTable(runColumns(plain, now, [run, unsure]), [run, unsure])).toBe(
    'NAME       WORKFLOW   PHASE    REASON       DURATION   AGE   UNCONFIRMED\n' +
      'patch-x1   patch      Failed   StepFailed   2m         10m   -\n' +
      'patch-x2   patch      Failed   StepFailed   2m         10m   2\n',
  );
});

test('runners are listed with load, heartbeat and uptime, which an offline one has not', () => {
  const online: RunnerView = {
    namespace: 'team-a',
    name: 'edge',
    phase: 'Online',
    lastHeartbeat: '2026-11-22T11:59:58Z',
    load: 2,
    capacity: 8,
    version: '0.1.0',
    startedAt: '2026-11-22T06:00:00Z',
    tags: ['production', 'us-east-1'],
    replicas: 1,
  };
  const rows: RunnerView[] = [online, { ...online, name: 'gone', phase: 'Offline', load: 0, tags: [] }];
  expect(renderTable(runnerColumns(plain, now), rows)).toBe(
    'NAME   STATUS    LOAD   HEARTBEAT   VERSION   UPTIME   TAGS\n' +
      'edge   Online    2/8    2s ago      0.1.0     6h       production,us-east-1\n' +
      'gone   Offline   0/8    2s ago      0.1.0     -        -\n',
  );
});

test('describe shows a run with its conditions, steps and next commands', async () => {
  const conditions = [
    { type: 'Completed', status: 'True', reason: 'StepFailed', message: 'Step two failed.' },
  ];
  installation.kube = () => ({ json: { status: { conditions } } });
  installation.serve = () => ({ json: run });
  const { code, out } = await installation.call('describe', 'patch-x1');
  expect(code).toBe(0);
  const [head = '', table = '', steps = '', messages = '', next = ''] = out.split('\n\n');
  expect(head.split('\n').slice(0, 7)).toEqual([
    'Name:          patch-x1',
    'Namespace:     team-a',
    'Workflow:      patch',
    'Phase:         Failed',
    'Reason:        StepFailed',
    'Message:       Step two failed.',
    'Requested by:  ann',
  ]);
  expect(table).toBe('CONDITION   STATUS   REASON\nCompleted   True     StepFailed');
  expect(steps).toBe(
    'STEP   TARGET   STATE    RUNNER   EXIT   DURATION   REASON\n' +
      'two    web-1    Failed   edge     7      1.5s       NonZeroExit',
  );
  expect(messages).toBe(
    'two/web-1: The script ended with exit code 7.\n' +
      'two/web-1: it could not be checked that nothing of it still runs: look on the target for what is left.',
  );
  expect(next).toBe(
    'Next:\n  kubectl outrider logs patch-x1 -n team-a\n  kubectl outrider run patch -n team-a --follow\n',
  );
});

test('describe says each thing once, where the message of a step is that of its run', async () => {
  const [task] = run.tasks;
  if (!task) throw new Error('the run has a task');
  const message = 'Step two on target web-1 ended Failed: The script ended with exit code 7.';
  const conditions = [
    { type: 'Completed', status: 'True', reason: 'StepFailed', message },
    { type: 'Succeeded', status: 'False', reason: 'StepFailed', message },
  ];
  installation.kube = () => ({ json: { status: { conditions } } });
  installation.serve = () => ({
    json: {
      ...run,
      message,
      tasks: [{ ...task, target: '', message: 'The script ended with exit code 7.' }],
    },
  });
  const { out } = await installation.call('describe', 'patch-x1');
  expect(out.split('exit code 7').length - 1).toBe(1);
  expect(out).toContain(
    'CONDITION   STATUS   REASON\nCompleted   True     StepFailed\nSucceeded   False    StepFailed\n',
  );
});

test('describe shows the command that decides on what waits for a person, and what was decided before', async () => {
  const [task] = run.tasks;
  if (!task) throw new Error('the run has a task');
  const { finishedAt: _, ...running } = run;
  const waits = { ...task, state: 'AwaitingHuman', epoch: 2, message: 'Its runner did not come back.' };
  const decision = {
    at: '2026-11-22T11:55:00Z',
    by: 'ann',
    step: 'two',
    target: 'web-1',
    attempt: 1,
    decision: 'Retry',
    reason: 'uptime 40 days',
    applied: true,
  };
  const late = { ...decision, by: 'bob', decision: 'Failed', reason: 'it is down', applied: false };
  installation.serve = () => ({
    json: {
      ...running,
      phase: 'Running',
      reason: 'AwaitingHuman',
      message: 'Nobody knows how attempt 2 ended; check, then: outrider decide …',
      tasks: [waits],
      history: [decision, late],
    },
  });
  const { out } = await installation.call('describe', 'patch-x1');
  expect(out).not.toContain('Nobody knows');
  expect(out).toContain('two/web-1: Its runner did not come back.\n');
  expect(out).toMatch(
    /DECIDED +BY +STEP +ATTEMPT +DECISION +WHY\n\S+ ago +ann +two\/web-1 +1 +Retry +uptime 40 days\n/,
  );
  expect(out).toContain(
    'Next:\n' +
      '  kubectl outrider decide patch-x1 two --target web-1 -n team-a --attempt 2 --succeeded --reason "…"  (or --failed, --retry)\n' +
      '  kubectl outrider logs patch-x1 -n team-a -f\n' +
      '  kubectl outrider cancel patch-x1 -n team-a\n',
  );
});

test('describe shows the command that gives a target free again', async () => {
  const [task] = run.tasks;
  installation.serve = () => ({ json: { ...run, tasks: [{ ...task, epoch: 2, holdsTarget: 1 }] } });
  const { out } = await installation.call('describe', 'patch-x1');
  expect(out).toContain('left. Attempt 1 keeps the target from others until it is released.\n');
  expect(out).toContain(
    'Next:\n  kubectl outrider decide patch-x1 two --target web-1 -n team-a --attempt 1 --release --reason "…"\n',
  );
});

test('an object goes out whole, for programs', async () => {
  installation.serve = () => ({ json: run });
  expect(JSON.parse((await installation.call('describe', 'patch-x1', '-o', 'json')).out)).toEqual(run);
  expect((await installation.call('describe', 'patch-x1', '-o', 'yaml')).out).toContain('\nphase: Failed\n');
});
