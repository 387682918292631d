import { describe, expect, test } from 'vitest';
import { useNamespace } from './cluster.ts';

const cluster = useNamespace('servers');

const WRITER = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: writer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: writer}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [create]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: writer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: writer}
subjects: [{kind: ServiceAccount, name: writer}]
`;

describe('the control plane', () => {
  test('gives a ServiceAccount what its Role allows, and nothing else', async () => {
    await cluster.mustKubectl(['apply', '-f', '-'], { input: WRITER });
    const kubeconfig = await cluster.controlPlane.serviceAccountKubeconfig({
      namespace: cluster.namespace,
      name: 'writer',
    });
    await cluster.mustKubectl(['create', 'configmap', 'mine'], { kubeconfig });
    const refused = await cluster.kubectl(['get', 'configmap', 'mine'], { kubeconfig });
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(
      `User "system:serviceaccount:${cluster.namespace}:writer" cannot get resource "configmaps"`,
    );
  });

  test('knows a client certificate as its user with its groups', async () => {
    const kubeconfig = await cluster.controlPlane.userKubeconfig('ann@example.org', ['ops', 'night shift']);
    const review = JSON.parse(
      await cluster.mustKubectl(['auth', 'whoami', '-o', 'json'], { kubeconfig }),
    ) as { status: { userInfo: { username: string; groups: string[] } } };
    expect(review.status.userInfo.username).toBe('ann@example.org');
    expect(review.status.userInfo.groups).toEqual(['ops', 'night shift', 'system:authenticated']);
  });

  test('refuses a caller without credentials', async () => {
    const answer = await cluster.kubectl(['get', 'namespaces', '--token=nobody'], {
      kubeconfig: await cluster.controlPlane.userKubeconfig('no-one'),
    });
    expect(answer.code).toBe(1);
    expect(answer.stderr).toContain('cannot list resource "namespaces"');
  });
});
