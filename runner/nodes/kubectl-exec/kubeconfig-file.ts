import { OutriderError } from '@outrider/protocol';
import { isAbsolute, resolve } from 'node:path';
import { parse } from 'yaml';

type Fields = Readonly<Record<string, unknown>>;

export interface Kubeconfig {
  readonly contexts: readonly Fields[];
  readonly clusters: readonly Fields[];
  readonly users: readonly Fields[];
  readonly current: string | undefined;
}

export interface PinOptions {
  /** The current context when absent. */
  readonly context?: string | undefined;
  /** The context's own namespace when absent, else `default`. */
  readonly namespace?: string | undefined;
  /** Where the kubeconfig is from, for messages. */
  readonly where: string;
  /** May run programs (exec, auth-provider) and read files on the runner. */
  readonly trusted: boolean;
  /** Relative file names start here. */
  readonly folder?: string;
}

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const list = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.filter(isFields) : []);

/** Throws CredentialInvalid, without any part of the text: it may be a secret of another kind. */
export function readKubeconfig(text: string, where: string): Kubeconfig {
  let value: unknown;
  try {
    // kubectl resolves merge keys (<<): what they hide must be seen here too.
    value = parse(text, { merge: true, logLevel: 'error' });
  } catch {
    value = undefined;
  }
  if (!isFields(value) || !Array.isArray(value['contexts'])) {
    throw invalid(
      `The kubeconfig of ${where} is no YAML or JSON with contexts`,
      'Store a kubeconfig as kubectl config view --raw --minify --flatten prints it.',
    );
  }
  const current = value['current-context'];
  return {
    contexts: list(value['contexts']),
    clusters: list(value['clusters']),
    users: list(value['users']),
    current: typeof current === 'string' && current !== '' ? current : undefined,
  };
}

/** A kubeconfig with one context, cluster and user. Throws ContextNotFound or CredentialInvalid. */
export function pinContext(config: Kubeconfig, options: PinOptions): { kubeconfig: Fields; context: string } {
  const name = options.context ?? config.current;
  const names = config.contexts.map((each) => String(each['name'])).join(', ') || 'none';
  if (name === undefined) {
    throw notFound(`The kubeconfig of ${options.where} has no current-context; its contexts are: ${names}`);
  }
  const context = named(config.contexts, name, 'context');
  if (context === undefined) {
    throw notFound(`The kubeconfig of ${options.where} has no context ${name}; its contexts are: ${names}`);
  }
  const cluster = named(config.clusters, context['cluster'], 'cluster');
  const user = named(config.users, context['user'], 'user') ?? {};
  if (cluster === undefined) {
    throw invalid(
      `Context ${name} in the kubeconfig of ${options.where} names a cluster that is not in it`,
      'Add the cluster to it.',
    );
  }
  if (!options.trusted) refuseLocal({ ...cluster, ...user }, options.where);
  const namespace = options.namespace ?? context['namespace'] ?? 'default';
  return { context: name, kubeconfig: pinned({ cluster, user, namespace, name, folder: options.folder }) };
}

function named(entries: readonly Fields[], name: unknown, field: string): Fields | undefined {
  const value = entries.find((each) => each['name'] === name)?.[field];
  return isFields(value) ? value : undefined;
}

interface Parts {
  readonly cluster: Fields;
  readonly user: Fields;
  readonly namespace: unknown;
  readonly name: string;
  readonly folder: string | undefined;
}

const pinned = ({ cluster, user, namespace, name, folder }: Parts): Fields => ({
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': name,
  contexts: [{ name, context: { cluster: 'cluster', user: 'user', namespace } }],
  clusters: [{ name: 'cluster', cluster: absolute(onlyKnown(cluster), folder) }],
  users: [{ name: 'user', user: absolute(onlyKnown(user), folder) }],
});

const FILE_FIELDS = ['certificate-authority', 'client-certificate', 'client-key', 'tokenFile'];
const PROGRAM_FIELDS = ['exec', 'auth-provider'];
/** Every field of clusters and users that kubectl reads. What is not listed, such as a merge key in quotes, goes no further. */
const KNOWN_FIELDS: ReadonlySet<string> = new Set([
  ...FILE_FIELDS,
  ...PROGRAM_FIELDS,
  'server',
  'tls-server-name',
  'insecure-skip-tls-verify',
  'certificate-authority-data',
  'proxy-url',
  'disable-compression',
  'extensions',
  'client-certificate-data',
  'client-key-data',
  'token',
  'username',
  'password',
  'as',
  'as-uid',
  'as-groups',
  'as-user-extra',
]);

const onlyKnown = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([name]) => KNOWN_FIELDS.has(name)));

function absolute(fields: Fields, folder: string | undefined): Fields {
  if (folder === undefined) return fields;
  const paths = FILE_FIELDS.flatMap((field) => {
    const path = fields[field];
    return typeof path === 'string' && !isAbsolute(path) ? [[field, resolve(folder, path)]] : [];
  });
  return { ...fields, ...Object.fromEntries(paths) };
}

function refuseLocal(fields: Fields, where: string): void {
  const program = PROGRAM_FIELDS.find((field) => fields[field] !== undefined);
  if (program !== undefined) {
    throw new OutriderError({
      code: 'LocalExecNotAllowed',
      message: `The kubeconfig of ${where} would run a program on the runner (${program}), and this machine's configuration does not permit local-exec.`,
      action: 'Use a kubeconfig with a token or a client certificate, or a runner that permits local-exec.',
    });
  }
  const file = FILE_FIELDS.find((field) => fields[field] !== undefined);
  if (file === undefined) return;
  throw invalid(
    `The kubeconfig of ${where} names a file (${file}) that would be read on the runner`,
    'Embed the data, as kubectl config view --raw --minify --flatten does.',
  );
}

const notFound = (what: string): OutriderError =>
  new OutriderError({
    code: 'ContextNotFound',
    message: `${what}.`,
    action: 'Set target.context to one of them, or add the context to the kubeconfig.',
  });

const invalid = (what: string, action: string): OutriderError =>
  new OutriderError({ code: 'CredentialInvalid', message: `${what}.`, action });
