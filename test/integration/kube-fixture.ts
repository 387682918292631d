import { KubeConfig } from '@kubernetes/client-node';
import { createKubeClient } from '@outrider/operator/kube/client';
import type { KubeClient, KubeObject } from '@outrider/operator/kube/contract';
import type { Logger } from '@outrider/operator/kube/logger';
import type { ControlPlane } from '../servers/control-plane.ts';

/** The operator's client on a test's control plane, as the administrator unless another kubeconfig is named. */
export function kubeClient(
  controlPlane: Pick<ControlPlane, 'adminKubeconfig'>,
  kubeconfig?: string,
): KubeClient {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig ?? controlPlane.adminKubeconfig);
  return createKubeClient(config, { version: '0.0.0-test' });
}

export interface RecordingLogger extends Logger {
  readonly lines: { level: string; fields: object; message: string }[];
}

export function recordingLogger(): RecordingLogger {
  const lines: RecordingLogger['lines'] = [];
  const at = (level: string) => (fields: object, message: string) =>
    void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** A client that notes the path of every request and watch. */
export function noting(client: KubeClient): { readonly client: KubeClient; readonly paths: string[] } {
  const paths: string[] = [];
  return {
    paths,
    client: {
      ...client,
      request: (call) => {
        paths.push(`${call.method} ${call.path}`);
        return client.request(call);
      },
      watch: (path, signal) => {
        paths.push(`WATCH ${path}`);
        return client.watch(path, signal);
      },
    },
  };
}
