import { KubeConfig } from '@kubernetes/client-node';
import { createKubeClient } from '@outrider/operator/kube/client';
import type { KubeClient } from '@outrider/operator/kube/contract';
import { stringify } from 'yaml';
import { startControlPlane, type ControlPlane } from '../../servers/control-plane.ts';
import { must } from '../../servers/command.ts';
import type { Footprint } from '../../servers/footprint.ts';
import {
  bundle,
  startOperator,
  startRunner,
  type Operator,
  type RemoteRunner,
} from '../../servers/outrider.ts';
import { waitFor } from '../../servers/wait.ts';

export const apiVersion = 'outrider.dev/v1alpha1';

/** The shipped operator and one shipped runner beside a real API server. */
export interface Shipped {
  readonly namespace: string;
  readonly controlPlane: ControlPlane;
  readonly operator: Operator;
  readonly runner: RemoteRunner;
  apply(...documents: readonly object[]): Promise<void>;
  /** A figure of the operator's /metrics. */
  metric(name: string): Promise<number>;
}

export interface ShippedOptions {
  readonly footprint: Footprint;
  readonly namespace: string;
  readonly runnerFlags: readonly string[];
  readonly nodes: readonly string[];
  readonly runnerEnv?: Readonly<Record<string, string>>;
}

export const startShipped = async (options: ShippedOptions): Promise<Shipped> => {
  const { footprint, namespace, runnerFlags, nodes, runnerEnv = {} } = options;
  const controlPlane = await startControlPlane({ footprint });
  const operator = await startOperator({ footprint, controlPlane });
  await controlPlane.mustKubectl(['create', 'namespace', namespace]);
  const apply = async (...documents: readonly object[]): Promise<void> => {
    const input = documents.map((each) => stringify(each)).join('---\n');
    await controlPlane.mustKubectl(['apply', '--server-side', '-f', '-'], { input });
  };
  await apply({
    apiVersion,
    kind: 'Runner',
    metadata: { name: 'bench', namespace },
    spec: { allow: { nodes } },
  });
  const env = { KUBECONFIG: controlPlane.adminKubeconfig, XDG_CACHE_HOME: footprint.subfolder('cache') };
  const command = [bundle('cli', 'outrider.js'), '-n', namespace, 'runner', 'token', '-o', 'name'];
  const token = (await must(process.execPath, command, { env })).trim();
  const runner = await startRunner({ footprint, name: 'bench', token, flags: runnerFlags, env: runnerEnv });
  const phase = ['-n', namespace, 'get', 'runner', 'bench', '-o', 'jsonpath={.status.phase}'];
  await waitFor('the runner to be Online', async () => (await controlPlane.mustKubectl(phase)) === 'Online');
  return {
    namespace,
    controlPlane,
    operator,
    runner,
    apply,
    metric: async (name) => {
      const text = await (await fetch(`${operator.metricsUrl}/metrics`)).text();
      return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
    },
  };
};

/** Creates objects over kept connections, without a process for each. */
export const createPoster = ({ adminKubeconfig }: ControlPlane): KubeClient => {
  const config = new KubeConfig();
  config.loadFromFile(adminKubeconfig);
  return createKubeClient(config, { version: 'bench' });
};
