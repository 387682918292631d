import { openControlPlane, startControlPlane, type ControlPlane } from './control-plane.ts';
import { debianPackages } from './debian.ts';
import type { Footprint } from './footprint.ts';
import {
  connectNode,
  createNodeNetwork,
  NODE_PACKAGES,
  startNode,
  type ClusterNode,
  type NodeFacts,
} from './node.ts';

/** A Kubernetes cluster: a control plane and, where this machine allows it, a node. */
export interface Cluster {
  readonly controlPlane: ControlPlane;
  /** Undefined where pods cannot run; `withoutNode` then says why. */
  readonly node: ClusterNode | undefined;
  readonly withoutNode: string;
  /** The host's address that the API server listens on. With a node, its pods reach it. */
  readonly hostAddress: string;
}

/** Why no node can run here, or an empty text. Installs what is missing if it may. */
export async function reasonWithoutNode(): Promise<string> {
  if (process.platform !== 'linux') return 'pods need Linux';
  if (process.getuid?.() !== 0) return 'pods need root';
  const { missing, reason } = await debianPackages(NODE_PACKAGES);
  return missing.length === 0 ? '' : `pods need ${missing.join(', ')}: ${reason}`;
}

/** What another process must know of a cluster beside its control plane. */
interface ClusterFacts {
  readonly node?: NodeFacts;
  readonly withoutNode: string;
  readonly hostAddress: string;
}

/** Starts a cluster that ends with the footprint. */
export async function startCluster(footprint: Footprint): Promise<Cluster> {
  const withoutNode = await reasonWithoutNode();
  const facts =
    withoutNode === '' ? await startWithNode(footprint) : await startWithout(footprint, withoutNode);
  footprint.note('cluster', facts);
  const cluster = openCluster(footprint);
  if (cluster === undefined)
    throw new Error(`${footprint.folder} does not describe the cluster just started`);
  return cluster;
}

/** The cluster that was started in this footprint, by this process or another, or undefined if there is none. */
export function openCluster(footprint: Footprint): Cluster | undefined {
  const facts = footprint.fact('cluster') as ClusterFacts | undefined;
  const controlPlane = openControlPlane(footprint);
  if (facts === undefined || controlPlane === undefined) return undefined;
  const node = facts.node === undefined ? undefined : connectNode(facts.node);
  return { controlPlane, node, withoutNode: facts.withoutNode, hostAddress: facts.hostAddress };
}

async function startWithout(footprint: Footprint, withoutNode: string): Promise<ClusterFacts> {
  await startControlPlane({ footprint, controllers: true });
  return { withoutNode, hostAddress: '127.0.0.1' };
}

async function startWithNode(footprint: Footprint): Promise<ClusterFacts> {
  const network = await createNodeNetwork(footprint);
  const { hostAddress, serviceCidr } = network;
  const controlPlane = await startControlPlane({
    footprint,
    controllers: true,
    bindAddress: hostAddress,
    serviceCidr,
  });
  const { name, address, socket, snapshotter } = await startNode(footprint, controlPlane, network);
  return { node: { name, address, hostAddress, socket, snapshotter }, withoutNode: '', hostAddress };
}
