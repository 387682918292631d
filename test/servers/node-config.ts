import { stringify } from 'yaml';

/** Where a node keeps its files and how it is reached. Every path is the same inside its mount namespace. */
export interface NodePlace {
  /** Folder of configuration, logs and data. */
  readonly folder: string;
  readonly nodeName: string;
  /** The node's address on the veth to the host. */
  readonly address: string;
  /** Network of the pods, for instance 10.214.0.0/24. */
  readonly podCidr: string;
  /** Control group below which all pods run, for instance /outrider-1a2b3c. */
  readonly cgroup: string;
  readonly snapshotter: 'overlayfs' | 'native';
  readonly pki: { readonly ca: string; readonly cert: string; readonly key: string };
  readonly kubeletKubeconfig: string;
  readonly proxyKubeconfig: string;
  readonly programs: { readonly kubelet: string; readonly kubeProxy: string };
}

export const SANDBOX_IMAGE = 'outrider.dev/pause:1';

/** containerd's configuration, for 1.6 and 1.7. */
export function renderContainerd(place: NodePlace): string {
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
  address = "${place.folder}/containerd.sock"
[${cri}]
  # Without CAP_SYS_RESOURCE no score below the current one may be set, and every sandbox would fail.
  restrict_oom_score_adj = true
  sandbox_image = "${SANDBOX_IMAGE}"
  netns_mounts_under_state_dir = true
[${cri}.containerd]
  snapshotter = "${place.snapshotter}"
[${cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "${place.folder}/cni"
`;
}

/**
 * The pods' network: a veth pair and a route for each. Traffic between pods of one bridge would pass by the
 * service rules on its way back; routed traffic does not.
 */
export function renderCni(place: NodePlace): string {
  return JSON.stringify({
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      {
        type: 'ptp',
        ipam: {
          type: 'host-local',
          ranges: [[{ subnet: place.podCidr }]],
          routes: [{ dst: '0.0.0.0/0' }],
          dataDir: '/run/cni',
        },
      },
    ],
  });
}

/** KubeletConfiguration. */
export function renderKubelet(place: NodePlace): string {
  return stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: place.pki.ca },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: place.pki.cert,
    tlsPrivateKeyFile: place.pki.key,
    address: place.address,
    healthzBindAddress: '127.0.0.1',
    containerRuntimeEndpoint: `unix://${place.folder}/containerd.sock`,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: place.cgroup,
    failCgroupV1: false,
    failSwapOn: false,
    enforceNodeAllocatable: [],
    evictionHard: { 'memory.available': '1Mi', 'nodefs.available': '1Mi', 'imagefs.available': '1Mi' },
    imageGCHighThresholdPercent: 100,
    makeIPTablesUtilChains: false,
    oomScoreAdj: 0,
    resolvConf: `${place.folder}/resolv.conf`,
    shutdownGracePeriod: '0s',
    // The defaults are for machines with many pods: a pod's start waits for them.
    syncFrequency: '10s',
    registryPullQPS: 0,
  });
}

/** KubeProxyConfiguration. */
export function renderKubeProxy(place: NodePlace): string {
  return stringify({
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: place.proxyKubeconfig },
    mode: 'nftables',
    clusterCIDR: place.podCidr,
    hostnameOverride: place.nodeName,
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
    oomScoreAdj: 0,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  });
}

/** Kernel settings that a kubelet wants. They are the machine's, so the node sees files that say so. */
const KERNEL: Readonly<Record<string, string>> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

/**
 * Process 1 of the node's namespaces: gives it /run, /var/lib and /var/log of its own, starts the three
 * programs and reaps what containers leave. When it ends, everything in the namespaces ends.
 */
export function renderInit(place: NodePlace): string {
  const { folder, nodeName, programs } = place;
  const kernel = Object.entries(KERNEL).flatMap(([name, value]) => {
    const file = `${folder}/kernel/${name.replaceAll('/', '.')}`;
    return [`echo ${value} >'${file}'`, `mount --bind '${file}' /proc/sys/${name}`];
  });
  return `${[
    'set -e',
    `echo ${nodeName} >/proc/sys/kernel/hostname`,
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    ...kernel,
    'mount -t tmpfs -o mode=0755 tmpfs /run',
    `mount --bind '${folder}/lib' /var/lib`,
    `mount --bind '${folder}/log' /var/log`,
    'set +e',
    // As a service manager would: a kubelet ends itself if containerd does not answer yet.
    'keep() { log=$1; shift; while :; do "$@" >>"$log" 2>&1; sleep 1; done; }',
    `keep '${folder}/containerd.log' containerd --config '${folder}/containerd.toml' &`,
    `until [ -S '${folder}/containerd.sock' ]; do sleep 0.05; done`,
    `keep '${folder}/kubelet.log' '${programs.kubelet}' --config '${folder}/kubelet.yaml' ` +
      `--kubeconfig '${place.kubeletKubeconfig}' --hostname-override ${nodeName} --node-ip ${place.address} &`,
    `keep '${folder}/kube-proxy.log' '${programs.kubeProxy}' --config '${folder}/kube-proxy.yaml' &`,
    'while :; do sleep 3600 & wait $!; done',
  ].join('\n')}\n`;
}
