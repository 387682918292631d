import { randomBytes } from 'node:crypto';
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { binary } from './binaries.ts';
import { issueCertificate } from './certificates.ts';
import { createCgroup } from './cgroups.ts';
import { must, run } from './command.ts';
import { staticKubeconfig, NODE_NAME } from './control-plane-launch.ts';
import type { ControlPlane } from './control-plane.ts';
import type { Footprint } from './footprint.ts';
import { buildImages } from './images.ts';
import {
  renderCni,
  renderContainerd,
  renderInit,
  renderKubelet,
  renderKubeProxy,
  type NodePlace,
} from './node-config.ts';
import { tailOf } from './probes.ts';
import { startProcess } from './process.ts';
import { joinByVeth, type Link } from './veth.ts';
import { waitFor } from './wait.ts';

/** Debian packages that a node needs. */
export const NODE_PACKAGES = [
  'containerd',
  'runc',
  'containernetworking-plugins',
  'nftables',
  'iproute2',
  'util-linux',
] as const;

/** A network namespace for a node, and the networks that lead to it. */
export interface NodeNetwork extends Link {
  readonly netns: string;
  readonly podCidr: string;
  readonly serviceCidr: string;
}

/** What another process must know to use a running node. It survives JSON. */
export interface NodeFacts {
  readonly name: string;
  /** Address of the node. */
  readonly address: string;
  /** Address of the host as the node and its pods see it. */
  readonly hostAddress: string;
  /** containerd's socket. */
  readonly socket: string;
  readonly snapshotter: string;
}

/** A node whose pods run. It has a network, mounts, a host name and process ids of its own. */
export interface ClusterNode extends NodeFacts {
  /** Loads the images of a docker-archive or OCI tar. */
  importImage(tar: string): Promise<void>;
}

/** Handle on a running node of which only the facts are known, as in another process. */
export function connectNode(facts: NodeFacts): ClusterNode {
  const importImage = async (tar: string): Promise<void> => {
    await must('ctr', [...ctr(facts.socket), 'images', 'import', `--snapshotter=${facts.snapshotter}`, tar]);
  };
  return { ...facts, importImage };
}

function ctr(socket: string): string[] {
  return ['--address', socket, '--namespace', 'k8s.io'];
}

/** Makes the node's network namespace. The API server must listen on its `hostAddress`. */
export async function createNodeNetwork(footprint: Footprint): Promise<NodeNetwork> {
  const suffix = randomBytes(3).toString('hex');
  const netns = `outrider-node-${suffix}`;
  const device = `outn-${suffix}`;
  footprint.add({ kind: 'netns', name: netns });
  await must('ip', ['netns', 'add', netns]);
  const link = await joinByVeth(footprint, { name: device, peer: { netns } });
  const number = networkNumber(link.hostAddress);
  const podCidr = `10.214.${number}.0/24`;
  const serviceCidr = `10.215.${number}.0/24`;
  for (const cidr of [podCidr, serviceCidr]) {
    await must('ip', ['route', 'add', cidr, 'via', link.address, 'dev', device]);
  }
  return { netns, ...link, podCidr, serviceCidr };
}

/** A number below 256 that differs between nodes whose link networks are near each other. */
export function networkNumber(hostAddress: string): number {
  const [, , high = 0, low = 0] = hostAddress.split('.').map(Number);
  return ((high << 6) | (low >> 2)) & 255;
}

/**
 * Starts containerd, kubelet and kube-proxy in namespaces of their own, imports the busybox image and returns
 * when the node is Ready. It ends with the footprint.
 */
export async function startNode(
  footprint: Footprint,
  controlPlane: ControlPlane,
  network: NodeNetwork,
): Promise<ClusterNode> {
  const place = await preparePlace(footprint, controlPlane, network);
  const { folder } = place;
  const images = buildImages(footprint.subfolder('images'));
  createCgroup(footprint, place.cgroup);
  const tails = (): string =>
    ['containerd', 'kubelet', 'kube-proxy']
      .map((name) => `${name}:\n${tailOf(join(folder, `${name}.log`), 8)}`)
      .join('\n');
  const socket = join(folder, 'containerd.sock');
  await startProcess(footprint, {
    name: 'node',
    command: 'nsenter',
    args: [`--net=/run/netns/${network.netns}`, ...UNSHARE, '/bin/sh', join(folder, 'init.sh')],
    // unshare holds back SIGTERM; its end, however it comes, ends process 1 of the namespaces.
    stopSignal: 'SIGKILL',
    ready: async () => (await run('ctr', [...ctr(socket), 'version'])).code === 0,
  });
  const { address, hostAddress } = network;
  const node = connectNode({ name: NODE_NAME, address, hostAddress, socket, snapshotter: place.snapshotter });
  await node.importImage(await images);
  const ready = { timeoutMs: 90_000, intervalMs: 200, detail: tails };
  await waitFor('the node to become Ready', () => isReady(controlPlane), ready);
  return node;
}

const UNSHARE = ['unshare', '--mount', '--uts', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc'];

async function isReady(controlPlane: ControlPlane): Promise<boolean> {
  const path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].status} {.spec.taints}';
  return (await controlPlane.mustKubectl(['get', 'node', NODE_NAME, path])).trim() === 'True';
}

async function preparePlace(
  footprint: Footprint,
  controlPlane: ControlPlane,
  network: NodeNetwork,
): Promise<NodePlace> {
  const folder = footprint.subfolder('node');
  if (/^\/(?:run|var\/lib|var\/log)\//.test(folder)) {
    throw new Error(
      `the folder ${folder} is hidden from a node, which has /run, /var/lib and /var/log of its own`,
    );
  }
  for (const name of ['lib', 'log', 'cni', 'kernel']) mkdirSync(join(folder, name));
  const hosts = [NODE_NAME, network.address];
  const serving = await issueCertificate(controlPlane.pkiDir, {
    name: 'kubelet',
    commonName: NODE_NAME,
    hosts,
  });
  const place: NodePlace = {
    folder,
    nodeName: NODE_NAME,
    address: network.address,
    podCidr: network.podCidr,
    cgroup: `/${network.netns}`,
    snapshotter: statfsSync(folder).type === OVERLAY ? 'native' : 'overlayfs',
    pki: { ca: controlPlane.caFile, cert: serving.certFile, key: serving.keyFile },
    kubeletKubeconfig: staticKubeconfig(controlPlane, 'kubelet'),
    proxyKubeconfig: staticKubeconfig(controlPlane, 'proxy'),
    programs: { kubelet: await binary('kubelet'), kubeProxy: await binary('kube-proxy') },
  };
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write('containerd.toml', renderContainerd(place));
  write('cni/pods.conflist', renderCni(place));
  write('kubelet.yaml', renderKubelet(place));
  write('kube-proxy.yaml', renderKubeProxy(place));
  write('resolv.conf', '');
  write('init.sh', renderInit(place));
  return place;
}

/** Type of a file system on which overlayfs cannot stand: overlayfs itself. */
const OVERLAY = 0x79_4c_76_30;
