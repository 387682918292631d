import { binary, type BinaryName } from './binaries.ts';
import { openbaoBinary } from './openbao-binary.ts';
import { installTestPackages } from './packages.ts';

/** Of a control plane, the chart, and a node. */
const controlPlane: readonly BinaryName[] = ['etcd', 'kube-apiserver', 'kubectl', 'kube-controller-manager'];
const node: readonly BinaryName[] = ['kube-scheduler', 'kubelet', 'kube-proxy'];

/**
 * Installs, builds and fetches whatever tests need and this machine lacks, before the first of them: no time limit of a test
 * runs meanwhile. The first time takes minutes; each part says so.
 */
export async function prepareMachine(): Promise<void> {
  await installTestPackages();
  const asRoot = process.platform === 'linux' && process.getuid?.() === 0;
  for (const name of [...controlPlane, 'helm' as const, ...(asRoot ? node : [])]) await binary(name);
  await openbaoBinary();
}
