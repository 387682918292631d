import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where Kubernetes mounts a pod's ServiceAccount. */
export const IN_CLUSTER = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * A kubeconfig for the pod's own ServiceAccount, or undefined outside a pod. It names the token's file, which Kubernetes
 * renews.
 */
export async function inClusterKubeconfig(
  namespace: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
  folder = IN_CLUSTER,
): Promise<object | undefined> {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const token = join(folder, 'token');
  const mounted = await access(token).then(
    () => true,
    () => false,
  );
  if (host === undefined || !mounted) return undefined;
  const port = env['KUBERNETES_SERVICE_PORT'] ?? '443';
  const own = await readFile(join(folder, 'namespace'), 'utf8').catch(() => 'default');
  const server = `https://${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'in-cluster',
    contexts: [
      {
        name: 'in-cluster',
        context: { cluster: 'cluster', user: 'user', namespace: namespace ?? own.trim() },
      },
    ],
    clusters: [{ name: 'cluster', cluster: { server, 'certificate-authority': join(folder, 'ca.crt') } }],
    users: [{ name: 'user', user: { tokenFile: token } }],
  };
}
