import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';

export interface ProxySettings {
  readonly httpsProxy?: string;
  readonly noProxy?: string;
}

/** HTTPS_PROXY and NO_PROXY, in either case, as other tools read them. */
export const proxyFromEnvironment = (env: Readonly<Record<string, string | undefined>>): ProxySettings => {
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'];
  const noProxy = env['no_proxy'] ?? env['NO_PROXY'];
  return {
    ...(httpsProxy === undefined || httpsProxy === '' ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
};

export interface ConnectionOptions {
  /** Connections at once; further requests wait for one. */
  readonly connections: number;
  /** PEM of the CAs to trust; the system's when absent. */
  readonly ca?: string;
  readonly minVersion?: 'TLSv1.3';
  /** @default true */
  readonly verify?: boolean;
  readonly proxy?: ProxySettings;
}

/** Connections that stay open, with Nagle's algorithm off. */
export type Connections = HttpAgent | HttpsAgent;

/** Node's own client: another one in the runner took 20 MB more of memory. */
export const createConnections = (secure: boolean, options: ConnectionOptions): Connections => {
  const { connections, ca, minVersion, verify = true, proxy } = options;
  const common = { keepAlive: true, keepAliveMsecs: 30_000, maxSockets: connections, noDelay: true };
  if (!secure) return new HttpAgent(common);
  const { httpsProxy, noProxy = '' } = proxy ?? {};
  return new HttpsAgent({
    ...common,
    rejectUnauthorized: verify,
    ...(ca === undefined ? {} : { ca }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(httpsProxy === undefined ? {} : { proxyEnv: { HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy } }),
  });
};

export interface ExchangeRequest {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly connections: Connections;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Longest time without a byte, while connecting too. */
  readonly silenceMs: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** Answers beyond this are not of any protocol spoken here. */
const maxAnswerBytes = 64 * 1024 * 1024;

const readAnswer = async (answer: IncomingMessage): Promise<HttpResponse> => {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of answer) {
    const bytes = Buffer.from(part as Uint8Array);
    size += bytes.length;
    if (size > maxAnswerBytes) throw new Error(`an answer of over ${maxAnswerBytes} bytes`);
    parts.push(bytes);
  }
  return {
    status: answer.statusCode ?? 0,
    headers: answer.headers,
    text: Buffer.concat(parts).toString('utf8'),
  };
};

/** Fails with `reused` set when a kept connection had been closed by the other end before it took the request. */
const exchangeOnce = (request: ExchangeRequest): Promise<HttpResponse> =>
  new Promise((resolve, reject) => {
    const { url, method, connections, headers = {}, body, signal, silenceMs } = request;
    const send = url.startsWith('https:') ? requestHttps : requestHttp;
    const sent = send(
      url,
      {
        method,
        headers,
        agent: connections,
        timeout: silenceMs,
        ...(signal === undefined ? {} : { signal }),
      },
      (answer) => void readAnswer(answer).then(resolve, reject),
    );
    sent.on('timeout', () => sent.destroy(new Error(`no byte in ${silenceMs / 1000} s`)));
    sent.on('error', (error) => reject(Object.assign(error, { reused: sent.reusedSocket })));
    sent.end(body);
  });

const wasStale = (error: unknown): boolean =>
  error instanceof Error &&
  'reused' in error &&
  error.reused === true &&
  'code' in error &&
  error.code === 'ECONNRESET';

/** Resolves with any HTTP answer. For requests that may be repeated: one that met a connection just closed is sent again. */
export const exchange = async (request: ExchangeRequest): Promise<HttpResponse> => {
  try {
    return await exchangeOnce(request);
  } catch (error) {
    if (!wasStale(error) || request.signal?.aborted === true) throw error;
    return exchangeOnce(request);
  }
};
