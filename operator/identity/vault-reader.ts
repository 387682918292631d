import nodeVault from 'node-vault';
import { OutriderError } from '@outrider/protocol';
import { createVaultTransport } from './vault-transport.ts';

const timeoutMs = 10_000;

export type VaultLogin =
  | { readonly method: 'jwt'; readonly mount: string; readonly role: string; readonly jwt: string }
  | {
      readonly method: 'approle';
      readonly mount: string;
      readonly roleId: string;
      readonly secretId: string;
    };

export interface VaultRead {
  /** Name of the CredentialStore, for errors. */
  readonly store: string;
  readonly address: string;
  readonly caBundle?: string;
  readonly vaultNamespace?: string;
  readonly login: VaultLogin;
  readonly mount: string;
  readonly path: string;
}

type Client = ReturnType<typeof nodeVault>;

/** One client per identity: a login changes the token of the client. Its debug output would print secrets, so it is off. */
const connect = (read: VaultRead): Client => {
  const client = nodeVault({
    endpoint: read.address,
    ...(read.vaultNamespace === undefined ? {} : { namespace: read.vaultNamespace }),
    debug: () => undefined,
    'request-promise': createVaultTransport({
      timeoutMs,
      ...(read.caBundle === undefined ? {} : { ca: read.caBundle }),
    }),
  });
  // Otherwise VAULT_TOKEN of the operator's environment would be sent.
  client.token = '';
  return client;
};

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(name) : undefined;

const statusOf = (error: unknown): number => {
  const status = member(member(error, 'response'), 'statusCode');
  return typeof status === 'number' ? status : 0;
};

const textOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).trim().slice(0, 300);

const unreachable = (read: VaultRead, error: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'StoreUnreachable',
      message: `The CredentialStore ${read.store} at ${read.address} did not answer the operator: ${textOf(error)}.`,
      action: 'Check its address, caBundle and that it is unsealed, and that the operator may connect to it.',
    },
    { cause: error },
  );

const isRefusal = (status: number): boolean => status >= 400 && status < 500 && status !== 429;

const loginFailure = (read: VaultRead, error: unknown): OutriderError => {
  if (!isRefusal(statusOf(error))) return unreachable(read, error);
  const { method, mount } = read.login;
  return new OutriderError(
    {
      code: 'StoreDenied',
      message: `The CredentialStore ${read.store} refused the operator's login at auth/${mount} (${method}): ${textOf(error)}.`,
      action:
        method === 'jwt'
          ? "Compare the role's bound_audiences, bound_subject and bound_claims, and the mount's jwt_validation_pubkeys and bound_issuer, with those of the operator."
          : 'Check roleId and the secretId in the Secret of the store; a secret_id may have expired.',
    },
    { cause: error },
  );
};

const readFailure = (read: VaultRead, error: unknown): OutriderError => {
  const status = statusOf(error);
  const where = `${read.mount}/${read.path}`;
  if (status === 404)
    return new OutriderError({
      code: 'SecretNotFound',
      message: `The CredentialStore ${read.store} has no secret at ${where}.`,
      action: 'Correct the credential of the step, or write the secret (KV version 2) there.',
    });
  if (!isRefusal(status)) return unreachable(read, error);
  return new OutriderError(
    {
      code: 'StoreDenied',
      message: `The CredentialStore ${read.store} does not let the operator read ${where}: ${textOf(error)}.`,
      action: `Give the role a policy with read on ${read.mount}/data/${read.path}.`,
    },
    { cause: error },
  );
};

const logIn = async (client: Client, read: VaultRead): Promise<void> => {
  const { login } = read;
  const body =
    login.method === 'jwt'
      ? { role: login.role, jwt: login.jwt }
      : { role_id: login.roleId, secret_id: login.secretId };
  let token: unknown;
  try {
    const answer: unknown = await client.write(`auth/${login.mount}/login`, body);
    token = member(member(answer, 'auth'), 'client_token');
  } catch (error) {
    throw loginFailure(read, error);
  }
  if (typeof token !== 'string') throw unreachable(read, new Error('its answer to the login has no token'));
  client.token = token;
};

const fieldsOf = (answer: unknown): Record<string, string> | undefined => {
  const data = member(member(answer, 'data'), 'data');
  if (typeof data !== 'object' || data === null) return undefined;
  const entries = Object.entries(data);
  return Object.fromEntries(
    entries.map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
};

/**
 * Logs in, reads one KV version 2 secret and revokes the token again.
 * @throws OutriderError StoreUnreachable, StoreDenied, SecretNotFound.
 */
export const readVault = async (read: VaultRead): Promise<Record<string, string>> => {
  const client = connect(read);
  await logIn(client, read);
  try {
    const answer: unknown = await client.read(`${read.mount}/data/${read.path}`);
    const fields = fieldsOf(answer);
    if (fields) return fields;
  } catch (error) {
    throw readFailure(read, error);
  } finally {
    // A token that could not be revoked ends by its own short life; the secret is not held back for that.
    await client.write('auth/token/revoke-self', {}).catch(() => undefined);
  }
  throw readFailure(read, { response: { statusCode: 404 } });
};
