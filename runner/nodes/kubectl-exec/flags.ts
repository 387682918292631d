import { OutriderError } from '@outrider/protocol';
import { refuseFiles } from './files.ts';
import { scanArguments, type Argument } from './scan.ts';
import type { CommandLine } from './split.ts';

export interface Limits {
  /** Namespace that the target pins; undefined if it pins none. */
  readonly namespace: string | undefined;
  /** The runner's own files may be read. */
  readonly localFiles: boolean;
}

/** What changes the server, the identity, or what runs and is written on the runner. */
const REFUSED = new Set([
  'kubeconfig',
  'context',
  'cluster',
  'user',
  'server',
  'token',
  'as',
  'as-group',
  'as-uid',
  'as-user-extra',
  'certificate-authority',
  'client-certificate',
  'client-key',
  'insecure-skip-tls-verify',
  'tls-server-name',
  'username',
  'password',
  'proxy-url',
  'cache-dir',
  'profile',
  'profile-output',
  'kuberc',
  'output-directory',
]);

/** Commands of kubectl itself that make sense without a terminal; any other word would run a plugin. */
const COMMANDS = new Set([
  'annotate',
  'api-resources',
  'api-versions',
  'apply',
  'auth',
  'autoscale',
  'certificate',
  'cluster-info',
  'cordon',
  'cp',
  'create',
  'debug',
  'delete',
  'describe',
  'diff',
  'drain',
  'events',
  'exec',
  'explain',
  'expose',
  'get',
  'kustomize',
  'label',
  'logs',
  'patch',
  'replace',
  'rollout',
  'run',
  'scale',
  'set',
  'taint',
  'top',
  'uncordon',
  'version',
  'wait',
]);

const WHY_NOT: Readonly<Record<string, string>> = {
  config: 'would show or change the kubeconfig, which is pinned',
  proxy: 'would open the cluster to the network of the runner, and never ends',
  'port-forward': 'would open a port on the runner, and never ends',
  plugin: 'would run programs on the runner',
  edit: 'needs a terminal',
  attach: 'needs a terminal',
};

/** Throws KubectlFlagRefused, CommandInvalid or LocalExecNotAllowed for a call that goes beyond what a step may do. */
export function checkCommand({ line, words }: CommandLine, limits: Limits): void {
  const { command, args } = scanArguments(line, words.slice(1));
  if (!COMMANDS.has(command)) throw refusedCommand(line, command);
  for (const arg of args) {
    checkTerminal(line, arg, command);
    checkFlag(line, arg, command);
    checkNamespace(line, arg, limits.namespace);
  }
  if (!limits.localFiles) refuseFiles(line, { command, args });
}

function checkFlag(line: number, { flag, shown }: Argument, command: string): void {
  if (flag === undefined || !REFUSED.has(flag)) return;
  // kubectl debug has a flag of its own by that name.
  if (flag === 'profile' && command === 'debug') return;
  throw flagRefused(
    line,
    shown,
    'The cluster, the identity and the files of kubectl are fixed by target and credential.',
  );
}

/** An editor would be a program of the runner, and nobody is there to type into it. */
function checkTerminal(line: number, { flag, value, shown }: Argument, command: string): void {
  if (flag === 'edit') throw flagRefused(line, shown, 'An editor needs a terminal.');
  if (command === 'apply' && flag === undefined && value === 'edit-last-applied')
    throw refusedCommand(line, `apply ${value}`, WHY_NOT['edit']);
}

/** `--raw` asks any path of the API server, and `cluster-info dump --namespaces` any namespace. */
const LEAVES_NAMESPACE = new Set(['raw', 'namespaces']);

function checkNamespace(line: number, { flag, value, shown }: Argument, pinned: string | undefined): void {
  if (pinned === undefined || flag === undefined) return;
  const other = flag === 'namespace' && value !== pinned;
  const all = flag === 'all-namespaces' && value !== 'false';
  if (!other && !all && !LEAVES_NAMESPACE.has(flag)) return;
  throw flagRefused(line, shown, `The target pins the namespace ${pinned}.`);
}

const flagRefused = (line: number, shown: string, why: string): OutriderError =>
  new OutriderError({
    code: 'KubectlFlagRefused',
    message: `Line ${line} of command uses ${shown}, which a step may not set. ${why}`,
    action: 'Remove the flag, and set context, namespace and credential on the target instead.',
    details: { line },
  });

function refusedCommand(line: number, command: string, known = WHY_NOT[command]): OutriderError {
  const why = known ?? 'is no command of kubectl that may run here, and plugins are not run';
  return new OutriderError({
    code: 'KubectlFlagRefused',
    message: `Line ${line} of command cannot be run: kubectl ${command} ${why}.`,
    action: 'Use another command, or script, which needs the permission for local-exec.',
    details: { line },
  });
}
