import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { configError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { listOf, mapping, textOf, type Mapping } from './values.ts';

type Env = Readonly<Record<string, string | undefined>>;
/** An entry of a kubeconfig with the folder that its relative paths count from. */
export interface Entry {
  readonly name: string;
  readonly body: Mapping;
  readonly folder: string;
}

/** Several files merged as kubectl does: the first file that sets a name, or the current context, wins. */
export interface Kubeconfig {
  readonly currentContext: string | undefined;
  readonly contexts: ReadonlyMap<string, Entry>;
  readonly clusters: ReadonlyMap<string, Entry>;
  readonly users: ReadonlyMap<string, Entry>;
  /** Where it was looked for, for messages. */
  readonly sources: readonly string[];
  /** False when none of them exists. */
  readonly found: boolean;
}

const collect = (into: Map<string, Entry>, list: unknown, options: { key: string; folder: string }): void => {
  for (const each of listOf(list)) {
    const entry = mapping(each);
    const name = textOf(entry['name']);
    if (name !== undefined && !into.has(name))
      into.set(name, { name, body: mapping(entry[options.key]), folder: options.folder });
  }
};

/** --kubeconfig alone, else the files of KUBECONFIG, else ~/.kube/config. */
export const kubeconfigPaths = (flag: string | undefined, env: Env): readonly string[] => {
  if (flag !== undefined) return [flag];
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((path) => path !== '');
  return listed.length > 0 ? listed : [join(env['HOME'] ?? homedir(), '.kube', 'config')];
};

const readOne = async (path: string, mustExist: boolean): Promise<Mapping | undefined> => {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (!mustExist && error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    const why = error instanceof Error ? error.message : String(error);
    throw configError(
      `The kubeconfig ${path} cannot be read: ${why}.`,
      'Check the path and its permissions (--kubeconfig, KUBECONFIG).',
      error,
    );
  }
  const { parse } = await import('../lazy/yaml.ts');
  try {
    return mapping(parse(text));
  } catch (error) {
    const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw configError(`The kubeconfig ${path} is not YAML: ${why}`, 'Correct the file.', error);
  }
};

/** @throws CliError ConfigInvalid */
export const loadKubeconfig = async (flag: string | undefined, env: Env): Promise<Kubeconfig> => {
  const sources = kubeconfigPaths(flag, env);
  const contexts = new Map<string, Entry>();
  const clusters = new Map<string, Entry>();
  const users = new Map<string, Entry>();
  let currentContext: string | undefined;
  let found = false;
  for (const path of sources) {
    const file = await readOne(path, flag !== undefined);
    if (!file) continue;
    found = true;
    const folder = dirname(resolve(path));
    currentContext ??= textOf(file['current-context']);
    collect(contexts, file['contexts'], { key: 'context', folder });
    collect(clusters, file['clusters'], { key: 'cluster', folder });
    collect(users, file['users'], { key: 'user', folder });
  }
  return { currentContext, contexts, clusters, users, sources, found };
};

/** The entries that a context leads to. */
export interface Selection {
  readonly context: string;
  readonly namespace: string | undefined;
  readonly cluster: Entry;
  readonly user: Entry;
}

/** @throws CliError ConfigInvalid when the context, its cluster or its user is not there. */
export const selectContext = (config: Kubeconfig, wanted: string | undefined): Selection => {
  const where = config.sources.join(', ');
  if (!config.found)
    throw configError(
      `There is no kubeconfig: ${where} does not exist.`,
      'Name the file that your cluster gave you with --kubeconfig or KUBECONFIG.',
    );
  const name = wanted ?? config.currentContext;
  if (name === undefined)
    throw configError(
      `No context is chosen in ${where}.`,
      'Choose one with `kubectl config use-context NAME` or --context NAME.',
    );
  const context = config.contexts.get(name);
  if (!context) {
    const guess = nearest(name, config.contexts.keys());
    throw configError(
      `There is no context "${name}" in ${where}.`,
      guess === undefined ? 'See `kubectl config get-contexts`.' : `Did you mean "${guess}"?`,
    );
  }
  const clusterName = textOf(context.body['cluster']) ?? '';
  const cluster = config.clusters.get(clusterName);
  if (!cluster)
    throw configError(
      `The context "${name}" names the cluster "${clusterName}", which is not in ${where}.`,
      'See `kubectl config view`.',
    );
  const userName = textOf(context.body['user']) ?? '';
  const user = config.users.get(userName) ?? { name: userName, body: {}, folder: cluster.folder };
  return { context: name, namespace: textOf(context.body['namespace']), cluster, user };
};
