import type { ControlPlane } from '../servers/control-plane.ts';
import { BUSYBOX_IMAGE } from '../servers/images.ts';
import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';

const namespace = 'payments';
const labels = { app: 'payment-service' };

const deployment = {
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'payment-service', namespace },
  spec: {
    replicas: 1,
    selector: { matchLabels: labels },
    template: {
      metadata: { labels },
      spec: {
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'payment-service',
            image: BUSYBOX_IMAGE,
            imagePullPolicy: 'Never',
            command: ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 1; done'],
          },
        ],
      },
    },
  },
};

/** What the runner's credential may do in the cluster: restart this Deployment and watch it. */
const access = [
  { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'outrider-runbooks', namespace } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'Role',
    metadata: { name: 'outrider-runbooks', namespace },
    rules: [
      { apiGroups: ['apps'], resources: ['deployments'], verbs: ['get', 'list', 'watch', 'patch'] },
      { apiGroups: ['apps'], resources: ['replicasets'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'watch'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'RoleBinding',
    metadata: { name: 'outrider-runbooks', namespace },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'outrider-runbooks' },
    subjects: [{ kind: 'ServiceAccount', name: 'outrider-runbooks', namespace }],
  },
];

const yaml = (...documents: readonly unknown[]): string =>
  documents.map((document) => stringify(document)).join('---\n');

/** The Deployment of the second snippet, running, and a ServiceAccount that may restart it. */
export const deployPaymentService = async (controlPlane: ControlPlane): Promise<void> => {
  await controlPlane.mustKubectl(['apply', '-f', '-'], { input: yaml(...access, deployment) });
  await controlPlane.mustKubectl([
    '-n',
    namespace,
    'rollout',
    'status',
    'deployment/payment-service',
    '--timeout=90s',
  ]);
};

/** A kubeconfig with the context that the snippet names, for the ServiceAccount that may restart the Deployment. */
export const paymentsKubeconfig = async (controlPlane: ControlPlane): Promise<string> => {
  const token = (
    await controlPlane.mustKubectl([
      '-n',
      namespace,
      'create',
      'token',
      'outrider-runbooks',
      '--duration=24h',
    ])
  ).trim();
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'prod-eks',
        cluster: {
          server: controlPlane.url,
          'certificate-authority-data': readFileSync(controlPlane.caFile).toString('base64'),
        },
      },
    ],
    users: [{ name: 'outrider-runbooks', user: { token } }],
    contexts: [{ name: 'prod-eks', context: { cluster: 'prod-eks', user: 'outrider-runbooks', namespace } }],
    'current-context': 'prod-eks',
  });
};

/** Secret `prod-eks` of the operations namespace. */
export const storeKubeconfig = async (controlPlane: ControlPlane): Promise<void> => {
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'prod-eks', namespace: 'operations', labels: { 'outrider.dev/allow': 'true' } },
    stringData: { kubeconfig: await paymentsKubeconfig(controlPlane) },
  };
  await controlPlane.mustKubectl(['apply', '-f', '-'], { input: yaml(secret) });
};
