import { createHash } from 'node:crypto';
import { CliError, configError } from '../errors.ts';
import { createHttp, headerOf, jsonObject, readText, type HttpAnswer, type HttpClient } from '../http.ts';
import { credentialOf, materialOf, type Credential } from './credentials.ts';
import { Remembered } from '../remembered.ts';
import type { Selection } from './kubeconfig.ts';
import { textOf } from './values.ts';

export interface KubeCall {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly body?: unknown;
  /** @default application/json */
  readonly contentType?: string;
}

/** A user as the API server knows it. */
export interface KubeUser {
  readonly username: string;
  readonly groups: readonly string[];
}

/** The few calls of the Kubernetes API that the program makes, as the user of the kubeconfig. */
export interface KubeClient {
  readonly server: string;
  /** Stands for server and user without revealing a credential: key of caches. */
  readonly identity: string;
  /** @throws CliError with the API server's reason as code and its own words. */
  request<T>(call: KubeCall): Promise<T>;
  /** SelfSubjectReview, asked once. */
  whoAmI(): Promise<KubeUser>;
  close(): Promise<void>;
}

export interface KubeClientOptions {
  readonly selection: Selection;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTTY: boolean;
  /** Warnings of the API server. */
  readonly warn: (text: string) => Promise<void>;
  readonly now: () => number;
  readonly userAgent: string;
}

const nextStep: Readonly<Record<string, string>> = {
  Unauthorized: 'Log in to the cluster again: `kubectl auth whoami` must work with this context.',
  Forbidden: 'Ask an administrator of the namespace for a Role that permits it.',
  NotFound: 'Check name, --namespace and --context.',
  Invalid: 'Correct what the API server names, and repeat.',
};

/** The failure that an answer stands for: a metav1.Status, or whatever a proxy in between has said. */
export const kubeFailure = (status: number, text: string): CliError => {
  const answer = jsonObject(text);
  const reason = textOf(answer['reason']) ?? (status === 401 ? 'Unauthorized' : `Http${status}`);
  const message = textOf(answer['message']) ?? (text.slice(0, 300) || `HTTP status ${status}`);
  return new CliError(
    { code: reason, message, action: nextStep[reason] ?? '' },
    { transient: status === 429 || status >= 500 },
  );
};

/** `299 - "text"`, as RFC 9111 has it; several in one header or in several. */
const warningsOf = (answer: HttpAnswer): readonly string[] => {
  const found = answer.headers['warning'];
  const header = Array.isArray(found) ? found.join(', ') : (found ?? '');
  return [...header.matchAll(/299 \S+ "((?:[^"\\]|\\.)*)"/g)].map(([, text = '']) =>
    text.replaceAll(/\\(.)/g, '$1'),
  );
};

const serverOf = ({ cluster }: Selection): string => {
  const server = textOf(cluster.body['server']) ?? '';
  const url = server.includes('://') ? server : `https://${server}`;
  if (server !== '' && URL.canParse(url)) return url;
  throw configError(
    `The cluster "${cluster.name}" of the kubeconfig has no usable server ("${server}").`,
    'Correct clusters[].cluster.server.',
  );
};

interface Connection {
  readonly http: HttpClient;
  readonly credential: Credential;
}

const connect = async (options: KubeClientOptions, server: string): Promise<Connection> => {
  const { selection, env } = options;
  const { cluster } = selection;
  const credential = await credentialOf(selection, options);
  const ca = await materialOf(cluster, 'certificate-authority');
  const serverName = textOf(cluster.body['tls-server-name']);
  const proxyUrl = textOf(cluster.body['proxy-url']);
  const http = createHttp({
    url: server,
    name: 'the Kubernetes API server',
    env,
    certificateAction: 'Check the cluster of the kubeconfig: server and certificate-authority.',
    insecure: cluster.body['insecure-skip-tls-verify'] === true,
    ...(ca === undefined ? {} : { ca }),
    ...(serverName === undefined ? {} : { serverName }),
    ...(proxyUrl === undefined ? {} : { proxyUrl }),
    ...(credential.cert === undefined ? {} : { cert: credential.cert }),
    ...(credential.key === undefined ? {} : { key: credential.key }),
  });
  return { http, credential };
};

const review = '/apis/authentication.k8s.io/v1/selfsubjectreviews';
interface SelfSubjectReview {
  readonly status: { readonly userInfo: { readonly username: string; readonly groups?: readonly string[] } };
}

export const createKubeClient = (options: KubeClientOptions): KubeClient => {
  const { selection } = options;
  const server = serverOf(selection);
  const connection = new Remembered(() => connect(options, server));

  /** A credential of a plugin may end while a log is being followed. */
  const connected = async (): Promise<Connection> => {
    const pending = connection.get();
    const known = await pending;
    if ((known.credential.expiresAt ?? Infinity) > options.now() + 5000) return known;
    if (connection.peek() !== pending) return connection.get();
    await known.http.close();
    return connection.set(connect(options, server));
  };

  const request = async <T>(call: KubeCall): Promise<T> => {
    const { http, credential } = await connected();
    const answer = await http.send({
      method: call.method,
      path: call.path,
      headers: {
        accept: 'application/json',
        'user-agent': options.userAgent,
        ...credential.headers,
        ...(call.body === undefined ? {} : { 'content-type': call.contentType ?? 'application/json' }),
      },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
    });
    const text = await readText(answer);
    for (const warning of warningsOf(answer)) await options.warn(warning);
    const type = headerOf(answer, 'content-type') ?? '';
    if (answer.status >= 300 || !type.includes('json')) throw kubeFailure(answer.status, text);
    return JSON.parse(text) as T;
  };

  const user = new Remembered(async (): Promise<KubeUser> => {
    const { status } = await request<SelfSubjectReview>({
      method: 'POST',
      path: review,
      body: { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    });
    return { username: status.userInfo.username, groups: status.userInfo.groups ?? [] };
  });

  return {
    server,
    identity: createHash('sha256')
      .update(JSON.stringify([server, selection.user.name, selection.user.folder, selection.user.body]))
      .digest('hex'),
    request,
    whoAmI: () => user.get(),
    close: async () => (await connection.peek()?.catch(() => undefined))?.http.close(),
  };
};
