import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './command.ts';
import { buildTool, cachedPath, versionsOf, type GoTool } from './go-module.ts';

const kubernetes = (command: string, minutes: number): GoTool => ({
  module: 'kubernetes',
  package: `k8s.io/kubernetes/cmd/${command}`,
  pinnedBy: 'k8s.io/kubernetes',
  link: (version) => [
    `k8s.io/component-base/version.gitVersion=${version}`,
    `k8s.io/component-base/version.gitMajor=${version.slice(1).split('.')[0]}`,
    `k8s.io/component-base/version.gitMinor=${version.split('.')[1]}`,
    `k8s.io/client-go/pkg/version.gitVersion=${version}`,
  ],
  minutes,
  ask: command === 'kubectl' ? ['version', '--client'] : ['--version'],
});

const TOOLS = {
  etcd: { ...kubernetes('', 1), package: 'go.etcd.io/etcd/server/v3', prints: 'go.etcd.io/etcd/server/v3' },
  'kube-apiserver': kubernetes('kube-apiserver', 6),
  kubectl: kubernetes('kubectl', 1),
  'kube-controller-manager': kubernetes('kube-controller-manager', 2),
  'kube-scheduler': kubernetes('kube-scheduler', 1),
  kubelet: kubernetes('kubelet', 2),
  'kube-proxy': kubernetes('kube-proxy', 1),
  helm: {
    module: 'helm',
    package: 'helm.sh/helm/v4/cmd/helm',
    pinnedBy: 'helm.sh/helm/v4',
    link: (version: string) => [`helm.sh/helm/v4/internal/version.version=${version}`],
    minutes: 3,
    ask: ['version'],
  },
} satisfies Record<string, GoTool>;

/** A program of the local cluster that one of the modules under tools/ pins. */
export type BinaryName = keyof typeof TOOLS;

const found = new Map<BinaryName, Promise<string>>();

/**
 * Path of a program, of the pinned version: from `$KUBEBUILDER_ASSETS` (used as it is), from the cache, from
 * PATH if that has the same version, else built into the cache. Builds one at a time, and says so on stderr.
 */
export async function binary(name: BinaryName): Promise<string> {
  const known = found.get(name);
  if (known !== undefined) return known;
  const path = find(name);
  found.set(name, path);
  return path;
}

async function find(name: BinaryName): Promise<string> {
  const tool: GoTool = TOOLS[name];
  const assets = process.env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && isProgram(join(assets, name))) return join(assets, name);
  const cached = cachedPath(name, tool);
  if (isProgram(cached)) return cached;
  return (await sameVersionOnPath(name, tool)) ?? buildTool(name, tool);
}

async function sameVersionOnPath(name: string, tool: GoTool): Promise<string | undefined> {
  const wanted = versionsOf(tool).printed;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    if (!isProgram(path)) continue;
    const answer = await run(path, tool.ask, { timeoutMs: 10_000 });
    if (printsVersion(answer.stdout, wanted)) return path;
  }
  return undefined;
}

/** True if a program's answer to "which version" names exactly `version`; etcd leaves the `v` out. */
export function printsVersion(answer: string, version: string): boolean {
  const number = version.replace(/^v/, '').replaceAll('.', String.raw`\.`);
  return new RegExp(String.raw`(?:^|[^\d.])v?${number}(?![\d.+-])`, 'm').test(answer);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
