import { join } from 'node:path';
import { base64File, issueCertificate } from './certificates.ts';
import { binary } from './binaries.ts';
import { run, type CommandResult } from './command.ts';
import {
  launchControlPlane,
  type ControlPlaneFacts,
  type ControlPlaneOptions,
} from './control-plane-launch.ts';
import { Footprint } from './footprint.ts';
import { writeKubeconfig, type KubeCredential } from './kubeconfig.ts';

export type { ControlPlaneOptions } from './control-plane-launch.ts';

export interface KubectlOptions {
  /** Text for stdin. */
  readonly input?: string;
  /** Default: the administrator's. */
  readonly kubeconfig?: string;
  /** Default: 120,000. */
  readonly timeoutMs?: number;
}

export interface ServiceAccountOptions {
  readonly namespace: string;
  readonly name: string;
  /** Life of the token in seconds, at least 600. Default: 86,400. */
  readonly expirationSeconds?: number;
}

/** A running Kubernetes API server with RBAC, and what stands behind it. */
export interface ControlPlane extends ControlPlaneFacts {
  /** Runs kubectl of the same version; never rejects because kubectl failed. */
  kubectl(args: readonly string[], options?: KubectlOptions): Promise<CommandResult>;
  /** Like `kubectl`, returns stdout, and rejects with kubectl's stderr if it fails. */
  mustKubectl(args: readonly string[], options?: KubectlOptions): Promise<string>;
  /** Path of a kubeconfig with a fresh token of an existing ServiceAccount, its namespace the default. */
  serviceAccountKubeconfig(options: ServiceAccountOptions): Promise<string>;
  /** Path of a kubeconfig with a client certificate for a user in groups. It has no permission by itself. */
  userKubeconfig(username: string, groups?: readonly string[]): Promise<string>;
  /** Ends every process of the control plane and, if it was given no footprint, removes its data. */
  stop(): Promise<void>;
}

/**
 * Starts etcd and kube-apiserver on free ports with a data folder of their own, and on request
 * kube-controller-manager and kube-scheduler. Programs that are missing are built first.
 */
export async function startControlPlane(options: ControlPlaneOptions = {}): Promise<ControlPlane> {
  const footprint = options.footprint ?? Footprint.temporary('control-plane');
  try {
    return connect(await launchControlPlane(footprint, options), () => footprint.end());
  } catch (error) {
    await footprint.end();
    throw error;
  }
}

/** The control plane that an earlier process started in this footprint, or undefined if there is none. */
export function openControlPlane(footprint: Footprint): ControlPlane | undefined {
  const facts = footprint.fact('controlPlane') as ControlPlaneFacts | undefined;
  return facts === undefined ? undefined : connect(facts, () => footprint.end());
}

/** Handle on a running control plane of which only the facts are known, as in another process. */
export function connect(facts: ControlPlaneFacts, stop: () => Promise<void>): ControlPlane {
  const kubectl = async (args: readonly string[], options: KubectlOptions = {}): Promise<CommandResult> =>
    run(await binary('kubectl'), args, {
      ...(options.input === undefined ? {} : { input: options.input }),
      env: {
        KUBECONFIG: options.kubeconfig ?? facts.adminKubeconfig,
        KUBECACHEDIR: join(facts.dataDir, 'kubectl-cache'),
      },
      timeoutMs: options.timeoutMs ?? 120_000,
    });
  const mustKubectl = async (args: readonly string[], options: KubectlOptions = {}): Promise<string> => {
    const result = await kubectl(args, options);
    if (result.code !== 0) throw new Error(`kubectl ${args.join(' ')} failed: ${result.stderr.trim()}`);
    return result.stdout;
  };
  const write = (user: string, credential: KubeCredential, namespace?: string): string =>
    writeKubeconfig(join(facts.dataDir, 'kubeconfigs', `${user.replaceAll(/[^a-zA-Z0-9.-]/g, '_')}.yaml`), {
      server: facts.url,
      authority: base64File(facts.caFile),
      user,
      credential,
      ...(namespace === undefined ? {} : { namespace }),
    });
  return {
    ...facts,
    kubectl,
    mustKubectl,
    stop,
    serviceAccountKubeconfig: async ({ namespace, name, expirationSeconds = 86_400 }) => {
      const duration = `--duration=${expirationSeconds}s`;
      const token = await mustKubectl(['create', 'token', name, '--namespace', namespace, duration]);
      return write(`system:serviceaccount:${namespace}:${name}`, { token: token.trim() }, namespace);
    },
    userKubeconfig: async (username, groups = []) => {
      const pair = await issueCertificate(facts.pkiDir, {
        name: `user-${Buffer.from(username).toString('hex')}`,
        commonName: username,
        organizations: groups,
      });
      return write(username, {
        'client-certificate-data': base64File(pair.certFile),
        'client-key-data': base64File(pair.keyFile),
      });
    },
  };
}
