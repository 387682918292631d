import { dirname } from 'node:path';
import { binary } from './binaries.ts';
import { openCluster, startCluster, type Cluster } from './cluster.ts';
import { Footprint } from './footprint.ts';
import { stateFolder } from './paths.ts';

/** `make cluster`: starts the local cluster, or finds it running, and says how to use it. */
async function main(): Promise<void> {
  const folder = stateFolder('cluster');
  const existing = Footprint.load(folder);
  if (existing !== undefined) {
    const cluster = openCluster(existing);
    if (cluster !== undefined && existing.ended().length === 0)
      return describe(cluster, 'is running already');
    console.error('The cluster that was started here is not whole any more; ending what is left of it.');
    await existing.end();
  }
  const footprint = Footprint.lasting(folder);
  try {
    await describe(await startCluster(footprint), 'is running');
  } catch (error) {
    await footprint.end();
    throw error;
  }
}

async function describe(cluster: Cluster, state: string): Promise<void> {
  const { controlPlane, node, withoutNode } = cluster;
  const kubectl = await binary('kubectl');
  console.log(`Kubernetes ${state} at ${controlPlane.url}.`);
  console.log(
    node === undefined ? `No node: ${withoutNode}.` : `Node ${node.name} at ${node.address} runs pods.`,
  );
  console.log(`
Next:
  export KUBECONFIG=${controlPlane.adminKubeconfig}
  export PATH=${dirname(kubectl)}:$PATH
  kubectl apply --server-side -f crds/manifests
  kubectl get outrider --all-namespaces
  make cluster-down    # ends it and removes its data
`);
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
