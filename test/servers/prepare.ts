import { binary, type BinaryName } from './binaries.ts';
import { openbaoBinary } from './openbao-binary.ts';
import { installTestPackages } from './packages.ts';

const always: readonly BinaryName[] = [
  'etcd',
  'kube-apiserver',
  'kubectl',
  'kube-controller-manager',
  'helm',
];
/** Of a node, which takes root. */
const node: readonly BinaryName[] = ['kube-scheduler', 'kubelet', 'kube-proxy'];

/**
 * Installs, builds and fetches whatever tests need and this machine lacks, before the first of them: no time limit of a test
 * runs meanwhile. The first time takes minutes; each part says so.
 */
export async function prepareMachine(): Promise<void> {
  await installTestPackages();
  for (const name of always) await binary(name);
  if (process.platform !== 'linux') return;
  await openbaoBinary();
  if (process.getuid?.() !== 0) return;
  for (const name of node) await binary(name);
}
