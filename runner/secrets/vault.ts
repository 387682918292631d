import { OutriderError, type VaultGrant } from '@outrider/protocol';
import { createConnections, exchange, type Connections, type ProxySettings } from '../agent/exchange.ts';

const callMs = 10_000;
const tries = 3;

export interface VaultOptions {
  readonly proxy?: ProxySettings;
  readonly signal: AbortSignal;
}

interface Call {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly token?: string;
  readonly body?: unknown;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const at = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce((inner, name) => (isObject(inner) ? inner[name] : undefined), value);

/** Vault's own words, when it gave some. */
const said = (answer: Answer): string => {
  const errors = at(answer.body, 'errors');
  const words = Array.isArray(errors) ? errors.filter((item) => typeof item === 'string').join('; ') : '';
  return words === '' ? `status ${answer.status}` : `status ${answer.status}: ${words.slice(0, 500)}`;
};

/** Path segments, each encoded. @throws OutriderError StoreDenied for one that would leave the mount. */
const encodePath = (path: string): string => {
  const segments = path.split('/').filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..')) {
    throw new OutriderError({
      code: 'StoreDenied',
      message: `The path ${path} would leave the store's prefix.`,
      action: 'Name the secret without "." and ".." segments.',
    });
  }
  return segments.map(encodeURIComponent).join('/');
};

const unreachable = (address: string, why: string, cause?: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'StoreUnreachable',
      message: `No answer from Vault at ${address}: ${why}.`,
      action:
        "Check the CredentialStore's address and caBundle and the network from this runner, or set `access: Operator` on the store.",
    },
    { cause },
  );

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  return error.message === '' ? code : error.message;
};

/** One Vault, one attempt: nothing is shared, so that no token can serve another attempt. */
class VaultSession {
  readonly #grant: VaultGrant;
  readonly #connections: Connections;
  readonly #signal: AbortSignal;

  constructor(grant: VaultGrant, options: VaultOptions) {
    this.#grant = grant;
    this.#connections = createConnections(grant.address.startsWith('https:'), {
      connections: 1,
      ...(grant.caBundle === undefined ? {} : { ca: grant.caBundle }),
      ...(options.proxy === undefined ? {} : { proxy: options.proxy }),
    });
    this.#signal = options.signal;
  }

  async #once(call: Call, signal: AbortSignal): Promise<Answer> {
    const response = await exchange({
      url: `${this.#grant.address.replace(/\/+$/, '')}/v1/${call.path}`,
      method: call.method,
      connections: this.#connections,
      silenceMs: callMs,
      headers: {
        'x-vault-request': 'true',
        ...(this.#grant.vaultNamespace === undefined
          ? {}
          : { 'x-vault-namespace': this.#grant.vaultNamespace }),
        ...(call.token === undefined ? {} : { 'x-vault-token': call.token }),
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      signal,
    });
    const { status, text } = response;
    try {
      return { status, body: text === '' ? undefined : JSON.parse(text) };
    } catch {
      return { status, body: undefined };
    }
  }

  /** Up to three tries, 10 s each, on network errors and 5xx. @throws OutriderError StoreUnreachable */
  async #call(call: Call): Promise<Answer> {
    const { address } = this.#grant;
    let last: OutriderError | undefined;
    for (let i = 0; i < tries; i++) {
      this.#signal.throwIfAborted();
      try {
        const answer = await this.#once(call, AbortSignal.any([this.#signal, AbortSignal.timeout(callMs)]));
        if (answer.status < 500) return answer;
        last = unreachable(address, said(answer));
      } catch (error) {
        this.#signal.throwIfAborted();
        last = unreachable(address, reasonOf(error), error);
      }
    }
    throw last ?? unreachable(address, 'it was not tried');
  }

  async login(): Promise<string> {
    const { authMount, role, jwt, address } = this.#grant;
    const answer = await this.#call({
      method: 'POST',
      path: `auth/${encodePath(authMount)}/login`,
      body: { role, jwt },
    });
    const token = at(answer.body, 'auth', 'client_token');
    if (answer.status === 200 && typeof token === 'string') return token;
    throw new OutriderError({
      code: 'StoreDenied',
      message: `Vault at ${address} refused the login with role ${role} at auth/${authMount} (${said(answer)}).`,
      action:
        'Check that this auth method has the public key of this operator, and that the role’s bound audience, subject and claims match.',
    });
  }

  async read(token: string): Promise<Record<string, string>> {
    const { mount, path, role, address } = this.#grant;
    const answer = await this.#call({
      method: 'GET',
      path: `${encodePath(mount)}/data/${encodePath(path)}`,
      token,
    });
    const fields = at(answer.body, 'data', 'data');
    if (answer.status === 200 && isObject(fields)) return stringFields(fields, `${mount}/${path}`);
    if (answer.status === 404) {
      throw new OutriderError({
        code: 'SecretNotFound',
        message: `Vault at ${address} has no secret ${path} in the KV version 2 mount ${mount}.`,
        action: `Write it with \`vault kv put -mount=${mount} ${path} …\`, or correct the name of the credential.`,
      });
    }
    throw new OutriderError({
      code: 'StoreDenied',
      message: `Vault at ${address} refused to let role ${role} read ${path} in ${mount} (${said(answer)}).`,
      action: `Give a policy of that role \`read\` on ${mount}/data/${path}.`,
    });
  }

  /** Best effort: a token that cannot be revoked ends with its own time to live. */
  async revoke(token: string): Promise<void> {
    const call: Call = { method: 'POST', path: 'auth/token/revoke-self', token };
    await this.#once(call, AbortSignal.timeout(callMs)).catch(() => undefined);
  }

  close(): void {
    this.#connections.destroy();
  }
}

/** @throws OutriderError CredentialInvalid when a field is not a text. */
export const stringFields = (fields: Record<string, unknown>, name: string): Record<string, string> => {
  const result: Record<string, string> = {};
  for (const [field, value] of Object.entries(fields)) {
    if (typeof value !== 'string') {
      throw new OutriderError({
        code: 'CredentialInvalid',
        message: `Field ${field} of the secret ${name} is not a string.`,
        action: 'Store every field of a credential as a string.',
      });
    }
    result[field] = value;
  }
  return result;
};

/** Logs in with the attempt's JWT, reads the secret, and revokes the Vault token whatever happened in between. */
export const readVault = async (
  grant: VaultGrant,
  options: VaultOptions,
): Promise<Record<string, string>> => {
  const session = new VaultSession(grant, options);
  try {
    const token = await session.login();
    try {
      return await session.read(token);
    } finally {
      await session.revoke(token);
    }
  } finally {
    session.close();
  }
};
