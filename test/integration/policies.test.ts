import { beforeAll, describe, expect, test } from 'vitest';
import { useNamespace } from './cluster.ts';

const cluster = useNamespace('policies');

/** May create every run, and run only the workflow `safe`. */
const access = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: robot}
rules:
  - {apiGroups: [outrider.dev], resources: [workflowruns], verbs: [create, get, patch]}
  - {apiGroups: [outrider.dev], resources: [workflows], verbs: [run], resourceNames: [safe]}
  - {apiGroups: [outrider.dev], resources: [rundecisions], verbs: [create]}
  - {apiGroups: [outrider.dev], resources: [workflows], verbs: [approve], resourceNames: [watched]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: robot}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: robot}
subjects: [{kind: ServiceAccount, name: robot}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: login}
rules:
  - {apiGroups: [outrider.dev], resources: [logins], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: login}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: login}
subjects: [{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "system:authenticated"}]
`;

beforeAll(async () => {
  await cluster.mustKubectl(['apply', '-f', '-'], { input: access });
});

const words = (command: string): readonly string[] => command.split(' ');
const object = (kind: string, name: string, spec: unknown): string =>
  JSON.stringify({ apiVersion: 'outrider.dev/v1alpha1', kind, metadata: { name }, spec });

describe('who may run a workflow', () => {
  const robot = `system:serviceaccount:${cluster.namespace}:robot`;
  const kubeconfig = (): Promise<string> =>
    cluster.controlPlane.serviceAccountKubeconfig({ namespace: cluster.namespace, name: 'robot' });
  const run = async (name: string, spec: unknown) =>
    cluster.kubectl(['create', '-f', '-'], {
      input: object('WorkflowRun', name, spec),
      kubeconfig: await kubeconfig(),
    });

  test('a ServiceAccount with the verb run on one workflow may run it, and name itself', async () => {
    const answer = await run('safe-1', { workflowRef: { name: 'safe' }, requestedBy: robot });
    expect(answer.stderr).toBe('');
    expect(answer.code).toBe(0);
  });

  test('the same ServiceAccount may not run another one, and learns the rule that it lacks', async () => {
    const answer = await run('danger-1', { workflowRef: { name: 'danger' } });
    expect(answer.stderr).toContain(
      `user "${robot}" may not run workflow "danger" in namespace "${cluster.namespace}"; it takes a Role with ` +
        'apiGroups [outrider.dev], resources [workflows], verbs [run] and resourceNames ["danger"]',
    );
    expect(answer.code).toBe(1);
  });

  test('a run cannot name another requester', async () => {
    const answer = await run('safe-2', { workflowRef: { name: 'safe' }, requestedBy: 'ann' });
    expect(answer.stderr).toContain(
      `spec.requestedBy is "ann", but user "${robot}" creates this run; write that user or leave it out`,
    );
    expect(answer.code).toBe(1);
  });

  test('permission to run a workflow in one namespace is none in another', async () => {
    const other = `${cluster.namespace}-other`;
    await cluster.controlPlane.mustKubectl(['create', 'namespace', other]);
    await cluster.controlPlane.mustKubectl(
      words(`create role creator --namespace ${other} --verb=create --resource=workflowruns.outrider.dev`),
    );
    await cluster.controlPlane.mustKubectl(
      words(
        `create rolebinding creator --namespace ${other} --role=creator --serviceaccount=${cluster.namespace}:robot`,
      ),
    );
    const answer = await cluster.controlPlane.kubectl(['create', '--namespace', other, '-f', '-'], {
      input: object('WorkflowRun', 'safe-1', { workflowRef: { name: 'safe' } }),
      kubeconfig: await kubeconfig(),
    });
    expect(answer.stderr).toContain(`user "${robot}" may not run workflow "safe" in namespace "${other}"`);
    expect(answer.code).toBe(1);
  });

  test('cancelling takes no more than permission to patch the run', async () => {
    await cluster.mustKubectl(['create', '-f', '-'], {
      input: object('WorkflowRun', 'danger-2', { workflowRef: { name: 'danger' } }),
    });
    const change = ['--type=merge', '--patch', '{"spec":{"desiredState":"Cancelled"}}'];
    await cluster.mustKubectl(['patch', 'workflowrun', 'danger-2', ...change], {
      kubeconfig: await kubeconfig(),
    });
    const spec = JSON.parse(
      await cluster.mustKubectl(['get', 'wfr', 'danger-2', '-o', 'jsonpath={.spec}']),
    ) as unknown;
    expect(spec).toEqual({ workflowRef: { name: 'danger' }, desiredState: 'Cancelled' });
  });
});

describe('who may decide on work whose end is not known', () => {
  const robot = `system:serviceaccount:${cluster.namespace}:robot`;
  const decide = async (name: string, changes: object) =>
    cluster.kubectl(['create', '-f', '-'], {
      input: object('RunDecision', name, {
        runRef: { name: 'watched-1', uid: 'u-1' },
        workflow: 'watched',
        step: 'restart',
        attempt: 1,
        decision: 'Failed',
        reason: 'the service is down',
        decidedBy: robot,
        ...changes,
      }),
      kubeconfig: await cluster.controlPlane.serviceAccountKubeconfig({
        namespace: cluster.namespace,
        name: 'robot',
      }),
    });

  test('a ServiceAccount with the verb approve on the workflow, as itself', async () => {
    expect(await decide('watched-1-restart', {})).toMatchObject({ code: 0, stderr: '' });
    const listed = await cluster.mustKubectl(['get', 'rundecisions']);
    expect(listed).toMatch(/^NAME +RUN +STEP +ATTEMPT +DECISION +DECIDED BY +APPLIED +AGE\n/);
    expect(listed).toContain(robot);
  });

  test('nobody who may only run the workflow, and the rule that is lacking is named', async () => {
    const answer = await decide('safe-1-restart', { workflow: 'safe' });
    expect(answer.stderr).toContain(
      `user "${robot}" may not decide on runs of workflow "safe" in namespace "${cluster.namespace}"; it takes a ` +
        'Role with apiGroups [outrider.dev], resources [workflows], verbs [approve] and resourceNames ["safe"]',
    );
    expect(answer.code).toBe(1);
  });

  test('nobody in the name of another user', async () => {
    const answer = await decide('by-ann', { decidedBy: 'ann' });
    expect(answer.stderr).toContain(
      `spec.decidedBy is "ann", but user "${robot}" creates this decision; write that user`,
    );
    expect(answer.code).toBe(1);
  });
});

describe('who may log in', () => {
  const publicKey = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
  const login = async (name: string, spec: object) =>
    cluster.kubectl(['create', '-f', '-'], {
      input: object('Login', name, { publicKey, ...spec }),
      kubeconfig: await cluster.controlPlane.userKubeconfig('ann', ['ops', 'night shift']),
    });

  test.each([
    ['in order', ['ops', 'night shift', 'system:authenticated']],
    ['in another order', ['system:authenticated', 'ops', 'night shift']],
  ])('a user as herself with all her groups, %s', async (name, groups) => {
    const answer = await login(`ann-${name.replaceAll(' ', '-')}`, { username: 'ann', groups });
    expect(answer.stderr).toBe('');
    expect(answer.code).toBe(0);
  });

  test('nobody as another user', async () => {
    const answer = await login('as-bob', {
      username: 'bob',
      groups: ['ops', 'night shift', 'system:authenticated'],
    });
    expect(answer.stderr).toContain('user "ann" cannot log in as "bob"; spec.username must be "ann"');
    expect(answer.code).toBe(1);
  });

  test.each([
    ['fewer', ['ops', 'system:authenticated']],
    ['more', ['ops', 'night shift', 'system:authenticated', 'system:masters']],
    ['other', ['ops', 'system:masters', 'system:authenticated']],
    ['no', undefined],
  ])('nobody with %s groups', async (name, groups) => {
    const answer = await login(`ann-${name}`, {
      username: 'ann',
      ...(groups === undefined ? {} : { groups }),
    });
    expect(answer.stderr).toContain(
      'spec.groups must be exactly the groups of user "ann"; kubectl auth whoami lists them',
    );
    expect(answer.code).toBe(1);
  });
});
