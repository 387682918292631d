import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { defined } from '../defined.ts';
import { configError } from '../errors.ts';
import { pluginCredential, type PluginCredential } from './exec-plugin.ts';
import type { Entry, Selection } from './kubeconfig.ts';
import { listOf, mapping, textOf, type Mapping } from './values.ts';

/** How a user proves who it is. */
export interface Credential {
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly cert?: string;
  readonly key?: string;
  /** Milliseconds since the Unix epoch. */
  readonly expiresAt?: number;
}

const readNamed = async (entry: Entry, path: string): Promise<string> => {
  const file = resolve(entry.folder, path);
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw configError(
      `The file ${file}, which the kubeconfig names for "${entry.name}", cannot be read: ${why}.`,
      'Correct the path or its permissions.',
      error,
    );
  }
};

/** `NAME-data` (base64) wins over the file `NAME`, as in kubectl. */
export const materialOf = async (entry: Entry, name: string): Promise<string | undefined> => {
  const data = textOf(entry.body[`${name}-data`]);
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8');
  const path = textOf(entry.body[name]);
  return path === undefined ? undefined : readNamed(entry, path);
};

/** kubectl --as and what belongs to it, when the kubeconfig says so. */
const impersonation = (user: Mapping): Record<string, string | string[]> => {
  const name = textOf(user['as']);
  const uid = textOf(user['as-uid']);
  const groups = listOf(user['as-groups']).map(String);
  return {
    ...(name === undefined ? {} : { 'impersonate-user': name }),
    ...(uid === undefined ? {} : { 'impersonate-uid': uid }),
    ...(groups.length === 0 ? {} : { 'impersonate-group': groups }),
  };
};

const bearerOf = async (entry: Entry): Promise<string | undefined> => {
  const path = textOf(entry.body['tokenFile']);
  if (path !== undefined) return (await readNamed(entry, path)).trim();
  return textOf(entry.body['token']);
};

const refuseUnknown = (entry: Entry): void => {
  if (entry.body['auth-provider'] !== undefined)
    throw configError(
      `The user "${entry.name}" of the kubeconfig has an auth-provider, which Kubernetes has removed.`,
      'Use a credential plugin (exec) instead; your cloud provider documents its own.',
    );
};

const basicOf = (user: Mapping): string | undefined => {
  const name = textOf(user['username']);
  if (name === undefined) return undefined;
  return `Basic ${Buffer.from(`${name}:${textOf(user['password']) ?? ''}`).toString('base64')}`;
};

interface CredentialOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTTY: boolean;
}

const fromPlugin = async (
  { user, cluster }: Selection,
  options: CredentialOptions,
): Promise<PluginCredential> => {
  const exec = user.body['exec'];
  if (exec === undefined || exec === null) return {};
  return pluginCredential({ ...options, user, exec: mapping(exec), cluster: cluster.body });
};

const authorizationOf = async (user: Entry, token: string | undefined): Promise<string | undefined> => {
  const bearer = token ?? (await bearerOf(user));
  return bearer === undefined ? basicOf(user.body) : `Bearer ${bearer}`;
};

/** @throws CliError ConfigInvalid, CredentialPluginFailed */
export const credentialOf = async (selection: Selection, options: CredentialOptions): Promise<Credential> => {
  const { user } = selection;
  refuseUnknown(user);
  const { token, cert, key, expiresAt } = await fromPlugin(selection, options);
  const authorization = await authorizationOf(user, token);
  return {
    headers: { ...impersonation(user.body), ...defined({ authorization }) },
    ...defined({
      cert: cert ?? (await materialOf(user, 'client-certificate')),
      key: key ?? (await materialOf(user, 'client-key')),
      expiresAt,
    }),
  };
};
