import { writeFileSync } from 'node:fs';
import { stringify } from 'yaml';

/** How a kubeconfig's user proves itself. */
export type KubeCredential =
  | { readonly token: string }
  | { readonly 'client-certificate-data': string; readonly 'client-key-data': string };

export interface KubeconfigOptions {
  readonly server: string;
  /** Base64 of the CA's PEM. */
  readonly authority: string;
  readonly user: string;
  readonly credential: KubeCredential;
  /** Default: none, which kubectl reads as `default`. */
  readonly namespace?: string;
  /** Name of cluster and context. Default: `outrider`. */
  readonly context?: string;
}

/** Text of a kubeconfig with one cluster, one user and one context. */
export function renderKubeconfig(options: KubeconfigOptions): string {
  const name = options.context ?? 'outrider';
  const namespace = options.namespace === undefined ? {} : { namespace: options.namespace };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name, cluster: { server: options.server, 'certificate-authority-data': options.authority } },
    ],
    users: [{ name: options.user, user: options.credential }],
    contexts: [{ name, context: { cluster: name, user: options.user, ...namespace } }],
    'current-context': name,
  });
}

/** Writes a kubeconfig that only its owner can read, and returns its path. */
export function writeKubeconfig(path: string, options: KubeconfigOptions): string {
  writeFileSync(path, renderKubeconfig(options), { mode: 0o600 });
  return path;
}
