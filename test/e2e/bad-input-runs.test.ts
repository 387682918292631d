import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { WorkflowSpec } from '@outrider/kinds';
import { waitFor } from '../servers/wait.ts';
import { completedOf, processesWith, reasonOf, stepOf } from './bad-input-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();
const script = (text: string): WorkflowSpec => ({
  steps: [{ name: 'only', node: 'local-exec', script: text }],
});

beforeAll(async () => {
  await stack.startRunner('worker', { flags: ['--local-exec', '--capacity', '1'] });
  await stack.allowLocalExec('worker');
});

describe('a run of a missing workflow', () => {
  test('waits as Queued and says what is missing, and starts by itself when the workflow is applied', async () => {
    const name = await stack.startRun('comes-later');
    const queued = await stack.waitForRun(name, 'to wait', (run) => reasonOf(run) === 'WorkflowNotFound');
    expect(queued.status?.phase).toBe('Queued');
    expect(completedOf(queued)).toMatchObject({
      status: 'False',
      message: `Namespace ${stack.namespace} has no Workflow "comes-later". Apply it; the run starts by itself.`,
    });
    const described = await stack.mustCli('describe', name);
    expect(described).toContain('WorkflowNotFound');
    expect(described).toContain('Apply it; the run starts by itself.');
    await stack.workflow('comes-later', script('echo at last'));
    expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
    expect(await stack.mustCli('logs', name)).toContain('at last');
  });

  test('fails as Expired at its startDeadline and still says what was missing', async () => {
    const name = await stack.startRun('never', { startDeadline: '2s' });
    const ended = await stack.waitForEnd(name);
    expect(ended.status?.phase).toBe('Failed');
    expect(completedOf(ended)).toMatchObject({
      reason: 'Expired',
      message: `The run could not start within its startDeadline (2s); nothing was executed. Namespace ${stack.namespace} has no Workflow "never". Apply it, then start a new run.`,
    });
  });
});

describe('a workflow that changes during a run', () => {
  const twoSteps = (last: string, gate: string): WorkflowSpec => ({
    steps: [
      { name: 'first', node: 'local-exec', script: `until [ -e ${gate} ]; do sleep 0.1; done` },
      { name: 'second', node: 'local-exec', script: `echo "as ${last}"` },
    ],
  });

  test.each(['edited', 'deleted'])('%s: the run goes on as it was frozen', async (how) => {
    const gate = `${stack.footprint.subfolder('gates')}/${how}`;
    await stack.workflow(how, twoSteps('frozen', gate));
    const name = await stack.startRun(how);
    await stack.waitForRun(name, 'to run', (run) => stepOf(run, 'first').phase === 'Running');
    if (how === 'edited') await stack.workflow(how, twoSteps('changed', gate));
    else await stack.kubectl('delete', 'workflow', how);
    writeFileSync(gate, '');
    const ended = await stack.waitForEnd(name);
    expect(ended.status?.phase).toBe('Succeeded');
    expect(ended.status?.workflow).toMatchObject({ name: how, generation: 1 });
    expect(await stack.mustCli('logs', name, 'second')).toContain('as frozen');
  });
});

describe('parameters', () => {
  beforeAll(() =>
    stack.workflow('typed', {
      parameters: [{ name: 'batch', type: 'Integer', required: true }],
      ...script('echo "$OUTRIDER_PARAM_BATCH"'),
    }),
  );

  test('of the wrong type, missing or unknown fail a run with InvalidParameters before anything ran', async () => {
    const wrong = await stack.waitForEnd(
      await stack.startRun('typed', { parameters: { batch: 'ten', size: 1 } }),
    );
    expect(wrong.status?.phase).toBe('Failed');
    expect(wrong.status?.steps).toBeUndefined();
    expect(completedOf(wrong)).toMatchObject({
      reason: 'InvalidParameters',
      message:
        'Cannot start: the workflow has no parameter "size" (it has batch); parameter "batch" is of type Integer and needs a whole number, without quotes, not "ten". Correct spec.parameters in a new run.',
    });
    const missing = await stack.waitForEnd(await stack.startRun('typed'));
    expect(completedOf(missing).message).toContain('parameter "batch" is required');
  });

  test('are refused by the CLI before a run is created', async () => {
    const before = await stack.kubectl('get', 'workflowruns', '-o', 'name');
    const { code, stdout, stderr } = await stack.cli(['run', 'typed', '-p', 'batch=ten']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'error InvalidParameters: Workflow "typed" was not started: parameter "batch" is of type Integer and needs a whole number, such as 10, not "ten".\n' +
        `  → Correct the -p options. \`kubectl -n ${stack.namespace} get workflow typed -o yaml\` shows spec.parameters.\n`,
    );
    expect(await stack.kubectl('get', 'workflowruns', '-o', 'name')).toBe(before);
  });
});

test('a run whose Target is missing waits, names step and Target, and starts when it is applied', async () => {
  await stack.workflow('aimed', {
    steps: [
      { name: 'only', node: 'ssh-exec', target: { name: 'web-1' }, credential: 'secret:key', script: 'true' },
    ],
  });
  const name = await stack.startRun('aimed');
  const queued = await stack.waitForRun(name, 'to wait', (run) => reasonOf(run) === 'TargetNotFound');
  expect(queued.status?.phase).toBe('Queued');
  expect(completedOf(queued).message).toBe(
    `Step only needs the Target web-1, which namespace ${stack.namespace} does not have. Apply it; the run starts by itself.`,
  );
  await stack.apply({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Target',
    metadata: { name: 'web-1' },
    spec: { type: 'SSH', host: '127.0.0.1', port: 1 },
  });
  expect(completedOf(await stack.waitForEnd(name)).reason).toBe('StepFailed');
});

test('a run that is deleted and applied again under the same name does not run again', async () => {
  const count = `${stack.footprint.subfolder('gates')}/count`;
  await stack.workflow('once', script(`echo ran >>${count}; wc -l <${count}`));
  const document = {
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'WorkflowRun',
    metadata: { name: 'nightly' },
    spec: { workflowRef: { name: 'once' } },
  };
  await stack.apply(document);
  expect((await stack.waitForEnd('nightly')).status?.phase).toBe('Succeeded');
  await stack.kubectl('delete', 'workflowrun', 'nightly');
  await stack.apply(document);
  const again = await stack.waitForEnd('nightly');
  expect(again.status?.phase).toBe('Failed');
  expect(completedOf(again)).toMatchObject({
    reason: 'AlreadyRan',
    message:
      'A run named nightly with the same spec ran within the last 30 days, so nothing was executed now. To run it again, start a run of another name.',
  });
  const other = await stack.startRun('once');
  await stack.waitForEnd(other);
  expect(await stack.mustCli('logs', other, '--raw')).toBe('2\n');
});

test('a run whose object is deleted while it runs is cancelled: no process is left, and its slot is free', async () => {
  const marker = `86400.${randomInt(1e9)}`;
  await stack.workflow('endless', script(`sleep ${marker} & wait`));
  const name = await stack.startRun('endless');
  await waitFor('the script to run', async () => (await processesWith(`sleep ${marker}`)) === 1);
  await stack.kubectl('delete', 'workflowrun', name);
  await waitFor('the script to be gone', async () => (await processesWith(`sleep ${marker}`)) === 0);
  await stack.workflow('next', script('true'));
  expect((await stack.waitForEnd(await stack.startRun('next'))).status?.phase).toBe('Succeeded');
});

test("the API server's words about a run that it refuses are relayed as they are", async () => {
  await stack.workflow('fine', script('true'));
  const { code, stderr } = await stack.cli(['run', 'fine', '--start-deadline', '5 minutes']);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^error Invalid: WorkflowRun\.outrider\.dev "fine-\w+" is invalid: spec\.startDeadline: /,
  );
  expect(stderr).toContain('→ Correct what the API server names, and repeat.');
});
