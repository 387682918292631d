import { beforeAll, describe, expect, test } from 'vitest';
import { useNamespace } from './cluster.ts';

const cluster = useNamespace('transitions');

const head = (kind: string, name: string): string =>
  `apiVersion: outrider.dev/v1alpha1\nkind: ${kind}\nmetadata: {name: ${name}}\n`;
const create = (yaml: string): Promise<string> => cluster.mustKubectl(['create', '-f', '-'], { input: yaml });

/** Merges a change into an object's spec; resolves to what kubectl said. */
async function change(resource: string, spec: unknown): Promise<{ code: number; said: string }> {
  const body = JSON.stringify({ spec });
  const { code, stdout, stderr } = await cluster.kubectl([
    'patch',
    resource,
    '--type=merge',
    '--patch',
    body,
  ]);
  return { code, said: stdout + stderr };
}

describe('a WorkflowRun', () => {
  beforeAll(async () => {
    const spec =
      'spec: {workflowRef: {name: patch}, priority: 5, startDeadline: 1h, parameters: {list: [1, 2], env: prod}}\n';
    await create(head('WorkflowRun', 'patch-1') + spec);
    await create(`${head('WorkflowRun', 'bare-1')}spec: {workflowRef: {name: patch}}\n`);
  });

  test.each([
    ['workflowRef', { workflowRef: { name: 'other' } }],
    ['priority', { priority: 100 }],
    ['priority', { priority: null }],
    ['startDeadline', { startDeadline: '2h' }],
    ['startDeadline', { startDeadline: null }],
    ['requestedBy', { requestedBy: 'admin' }],
  ])('keeps its %s against %j', async (field, spec) => {
    const { code, said } = await change('workflowrun/patch-1', spec);
    expect(said).toContain(
      `spec.${field}: Forbidden: ${field} cannot be changed: a run is what was asked for; create another WorkflowRun`,
    );
    expect(code).toBe(1);
  });

  test.each([
    ['patch-1', { parameters: { env: 'test' } }],
    ['patch-1', { parameters: { list: [2, 1] } }],
    ['patch-1', { parameters: null }],
    ['bare-1', { parameters: { env: 'prod' } }],
  ])('%s keeps its parameters against %j', async (name, spec) => {
    const { code, said } = await change(`workflowrun/${name}`, spec);
    expect(said).toContain(
      `spec.parameters of run "${name}" cannot be changed: a run is what was asked for; create another WorkflowRun`,
    );
    expect(code).toBe(1);
  });

  test('may be paused and go on', async () => {
    for (const desiredState of ['Paused', 'Running', 'Paused', null]) {
      expect(await change('workflowrun/patch-1', { desiredState })).toMatchObject({ code: 0 });
    }
  });

  test('may be labelled and cancelled, and stays cancelled', async () => {
    await cluster.mustKubectl(['label', 'workflowrun', 'patch-1', 'team=payments']);
    expect((await change('workflowrun/patch-1', { desiredState: 'Cancelled' })).code).toBe(0);
    for (const desiredState of ['Running', 'Paused', null]) {
      const { code, said } = await change('workflowrun/patch-1', { desiredState });
      expect(said).toContain(
        'spec.desiredState: Forbidden: a cancelled run stays cancelled; create another WorkflowRun',
      );
      expect(code).toBe(1);
    }
  });
});

describe('a Runner', () => {
  test('changes its tags, and once revoked stays revoked', async () => {
    await create(`${head('Runner', 'prod-1')}spec: {tags: [production]}\n`);
    expect((await change('runner/prod-1', { tags: ['staging'] })).code).toBe(0);
    expect((await change('runner/prod-1', { revoked: true })).code).toBe(0);
    for (const revoked of [false, null]) {
      const { code, said } = await change('runner/prod-1', { revoked });
      expect(said).toContain(
        'spec.revoked: Forbidden: a revoked runner stays revoked; register it again under another name',
      );
      expect(code).toBe(1);
    }
  });
});

describe('a Login', () => {
  test('never changes', async () => {
    const key = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
    const groups = '[system:masters, system:authenticated]';
    await create(`${head('Login', 'mine')}spec: {username: admin, groups: ${groups}, publicKey: ${key}}\n`);
    for (const spec of [{ publicKey: key.replace('11q', '22q') }, { groups: null }, { username: 'root' }]) {
      const { code, said } = await change('login/mine', spec);
      expect(said).toContain(
        'spec: Forbidden: a Login cannot be changed; log in again, which creates another one',
      );
      expect(code).toBe(1);
    }
  });
});

describe('a RunDecision', () => {
  test('never changes', async () => {
    const about = 'runRef: {name: patch-1, uid: u-1}, workflow: patch, step: inspect, attempt: 1';
    const words = 'decision: Retry, reason: nothing was changed, decidedBy: admin';
    await create(`${head('RunDecision', 'mine')}spec: {${about}, ${words}}\n`);
    for (const spec of [{ decision: 'Failed' }, { attempt: 2 }, { reason: 'other' }, { target: 'web-1' }]) {
      const { code, said } = await change('rundecision/mine', spec);
      expect(said).toContain(
        'spec: Forbidden: a RunDecision cannot be changed; decide again, which creates another one',
      );
      expect(code).toBe(1);
    }
  });
});

describe('a Workflow', () => {
  test('may be edited, and each edit is checked anew', async () => {
    await create(`${head('Workflow', 'edit')}spec: {steps: [{node: local-exec, script: df}]}\n`);
    expect((await change('workflow/edit', { steps: [{ node: 'local-exec', script: 'uptime' }] })).code).toBe(
      0,
    );
    const { code, said } = await change('workflow/edit', {
      steps: [{ node: 'local-exe', script: 'uptime' }],
    });
    expect(said).toContain(
      'this step: unknown node "local-exe"; use one of ssh-exec, kubectl-exec, local-exec',
    );
    expect(code).toBe(1);
  });
});
