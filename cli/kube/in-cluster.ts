import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Selection } from './kubeconfig.ts';

const folder = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The ServiceAccount of the pod that the program runs in; undefined elsewhere. */
export const inCluster = (env: Readonly<Record<string, string | undefined>>): Selection | undefined => {
  const host = env['KUBERNETES_SERVICE_HOST'];
  const port = env['KUBERNETES_SERVICE_PORT'];
  const tokenFile = join(folder, 'token');
  if (!host || !port || !existsSync(tokenFile)) return undefined;
  const namespaceFile = join(folder, 'namespace');
  return {
    context: 'in-cluster',
    namespace: existsSync(namespaceFile) ? readFileSync(namespaceFile, 'utf8').trim() : undefined,
    cluster: {
      name: 'in-cluster',
      folder,
      body: {
        server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
        'certificate-authority': join(folder, 'ca.crt'),
      },
    },
    user: { name: 'in-cluster', folder, body: { tokenFile } },
  };
};
