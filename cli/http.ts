import type { Dispatcher } from 'undici';
import { CliError } from './errors.ts';

export interface HttpOptions {
  /** Base URL; a path in it is put before every path. */
  readonly url: string;
  /** What the other side is called in messages, such as `the portal`. */
  readonly name: string;
  /** PEM of the CAs to trust; the system's when absent. */
  readonly ca?: string;
  /** PEM of a client certificate and its key. */
  readonly cert?: string;
  readonly key?: string;
  /** Name that the certificate must bear, when it is not the URL's. */
  readonly serverName?: string;
  /** The kubeconfig says that any certificate will do. */
  readonly insecure?: boolean;
  /** Proxy of its own; else HTTPS_PROXY, HTTP_PROXY and NO_PROXY count. */
  readonly proxyUrl?: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What to do when its certificate is not trusted. */
  readonly certificateAction: string;
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PATCH';
  /** With its query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string;
  readonly signal?: AbortSignal;
  /** Longest time without a byte of the answer. @default 30_000 */
  readonly silenceMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** Throws CliError when the connection breaks before the end. */
  readonly body: AsyncIterable<Uint8Array>;
}

export interface HttpClient {
  readonly url: string;
  /** Resolves with any HTTP answer. @throws CliError Unreachable, CertificateMismatch */
  send(request: HttpRequest): Promise<HttpAnswer>;
  close(): Promise<void>;
}

const certificateFailure = /^(CERT_|DEPTH_ZERO|ERR_TLS_CERT|INVALID_|SELF_SIGNED|UNABLE_TO_(GET|VERIFY))/;

const innermost = (error: unknown): { readonly code: string; readonly message: string } => {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0]);
  if (error.cause instanceof Error) return innermost(error.cause);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // Node adds advice on its own options, which nobody can give to this program.
  const message = error.message.replace(/; if the root CA is installed locally.*$/s, '');
  return { code, message: message === '' ? code : message };
};

/** What a failed exchange means to a user. */
export const explainFailure = (options: HttpOptions, error: unknown): CliError => {
  const { code, message } = innermost(error);
  if (certificateFailure.test(code))
    return new CliError(
      {
        code: 'CertificateMismatch',
        message: `The certificate of ${options.name} at ${options.url} is not trusted: ${message}.`,
        action: options.certificateAction,
      },
      { cause: error },
    );
  return new CliError(
    {
      code: 'Unreachable',
      message: `No answer from ${options.name} at ${options.url}: ${message}.`,
      action:
        'Check the address, the network between here and there, HTTPS_PROXY and NO_PROXY, and that it runs.',
    },
    { cause: error, transient: true },
  );
};

const createDispatcher = async (options: HttpOptions): Promise<Dispatcher> => {
  const { Agent, EnvHttpProxyAgent, ProxyAgent } = await import('./lazy/undici.ts');
  const { ca, cert, key, serverName, env } = options;
  const tls = {
    rejectUnauthorized: options.insecure !== true,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
  const common = { allowH2: false, connect: { ...tls, timeout: 10_000 } };
  if (options.proxyUrl !== undefined)
    return new ProxyAgent({ ...common, uri: options.proxyUrl, requestTls: tls });
  const proxied = env['https_proxy'] ?? env['HTTPS_PROXY'] ?? env['http_proxy'] ?? env['HTTP_PROXY'];
  return proxied ? new EnvHttpProxyAgent({ ...common, requestTls: tls }) : new Agent(common);
};

async function* explained(body: AsyncIterable<Uint8Array>, options: HttpOptions): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw explainFailure(options, error);
  }
}

/** Connections to one server, made when first needed. */
export const createHttp = (options: HttpOptions): HttpClient => {
  const { origin, pathname } = new URL(options.url);
  const prefix = pathname.replace(/\/+$/, '');
  let dispatcher: Promise<Dispatcher> | undefined;
  return {
    url: origin + prefix,
    send: async (request) => {
      const silence = request.silenceMs ?? 30_000;
      try {
        dispatcher ??= createDispatcher(options);
        const answer = await (
          await dispatcher
        ).request({
          origin,
          path: prefix + request.path,
          method: request.method,
          headersTimeout: silence,
          bodyTimeout: silence,
          ...(request.headers === undefined ? {} : { headers: { ...request.headers } }),
          ...(request.body === undefined ? {} : { body: request.body }),
          ...(request.signal === undefined ? {} : { signal: request.signal }),
        });
        return { status: answer.statusCode, headers: answer.headers, body: explained(answer.body, options) };
      } catch (error) {
        throw explainFailure(options, error);
      }
    },
    close: async () => (await dispatcher)?.destroy(),
  };
};

/** Answers beyond this are not for a terminal. */
const maxAnswerBytes = 256 * 1024 * 1024;

export const readText = async (answer: HttpAnswer): Promise<string> => {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body) {
    size += part.length;
    if (size > maxAnswerBytes) throw new Error(`an answer of over ${maxAnswerBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
};

/** The first value of a header. */
export const headerOf = (answer: HttpAnswer, name: string): string | undefined => {
  const value = answer.headers[name];
  return Array.isArray(value) ? value[0] : value;
};

/** An object, or an empty one when the text is something else, such as a proxy's page. */
export const jsonObject = (text: string): Record<string, unknown> => {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
};
