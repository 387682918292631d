import { OutriderError } from '@outrider/protocol';
import { Agent, EnvHttpProxyAgent, type Dispatcher } from 'undici';

/** Requests of one lane never wait for those of another: a held poll or a slow log upload delays no result. */
export type LaneName = 'poll' | 'control' | 'reports' | 'logs';

export interface ProxySettings {
  readonly httpsProxy?: string;
  readonly noProxy?: string;
}

export interface TransportOptions {
  /** Base URL of the runner API, such as https://runners.example.com:8443. */
  readonly url: string;
  /** PEM of the CAs to trust; the system's when absent. */
  readonly ca?: string;
  readonly proxy?: ProxySettings;
  /** False only to fetch the CA, which is then compared with the registration token's hash. @default true */
  readonly verify?: boolean;
}

export interface HttpRequest {
  readonly lane: LaneName;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Longest time without a byte of the answer. @default 15_000 */
  readonly silenceMs?: number;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface Transport {
  readonly url: string;
  /** Resolves with any HTTP answer. @throws OutriderError OperatorUnreachable, CertificateMismatch */
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}

/** Answers beyond this are not of this protocol. */
const maxAnswerBytes = 64 * 1024 * 1024;

const connections: Readonly<Record<LaneName, number>> = { poll: 1, control: 8, reports: 1, logs: 1 };

const createLane = (name: LaneName, options: TransportOptions): Dispatcher => {
  const tls = {
    minVersion: 'TLSv1.3' as const,
    rejectUnauthorized: options.verify ?? true,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
  const common = {
    allowH2: false,
    pipelining: 1,
    connections: connections[name],
    keepAliveTimeout: 600_000,
    keepAliveMaxTimeout: 600_000,
    connect: { ...tls, timeout: 10_000, keepAliveInitialDelay: 30_000 },
  };
  const { httpsProxy, noProxy = '' } = options.proxy ?? {};
  if (httpsProxy === undefined || httpsProxy === '') return new Agent(common);
  return new EnvHttpProxyAgent({ ...common, httpProxy: '', httpsProxy, noProxy, requestTls: tls });
};

const certificateCodes = new Set([
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

const innermost = (error: unknown): { code: string; message: string } => {
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0]);
  if (error.cause instanceof Error) return innermost(error.cause);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return { code, message: error.message === '' ? code : error.message };
};

/** What a failed exchange means to a user. */
export const explainFailure = (url: string, error: unknown): OutriderError => {
  const { code, message } = innermost(error);
  if (certificateCodes.has(code)) {
    return new OutriderError(
      {
        code: 'CertificateMismatch',
        message: `The certificate of ${url} is not one that this runner trusts: ${message}.`,
        action:
          'Check the URL. When the CA was replaced, give its certificate in OUTRIDER_CA_FILE or register again.',
      },
      { cause: error },
    );
  }
  return new OutriderError(
    {
      code: 'OperatorUnreachable',
      message: `No answer from ${url}: ${message}.`,
      action:
        'Check the URL, the network between here and there, HTTPS_PROXY and NO_PROXY, and that the operator runs.',
    },
    { cause: error },
  );
};

/** Connections to one operator, kept open: a connection of its own for the poll, for reports and for logs. */
export const createTransport = (options: TransportOptions): Transport => {
  const url = options.url.replace(/\/+$/, '');
  const { origin, pathname } = new URL(url);
  const prefix = pathname === '/' ? '' : pathname;
  const lanes: Record<LaneName, Dispatcher> = {
    poll: createLane('poll', options),
    control: createLane('control', options),
    reports: createLane('reports', options),
    logs: createLane('logs', options),
  };

  const read = async (body: AsyncIterable<Uint8Array>): Promise<string> => {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of body) {
      size += part.length;
      if (size > maxAnswerBytes) throw new Error(`an answer of over ${maxAnswerBytes} bytes`);
      parts.push(part);
    }
    return Buffer.concat(parts).toString('utf8');
  };

  return {
    url,
    send: async (request) => {
      const silence = request.silenceMs ?? 15_000;
      try {
        const answer = await lanes[request.lane].request({
          origin,
          path: prefix + request.path,
          method: request.method,
          headersTimeout: silence,
          bodyTimeout: silence,
          ...(request.headers === undefined ? {} : { headers: { ...request.headers } }),
          ...(request.body === undefined ? {} : { body: request.body }),
          ...(request.signal === undefined ? {} : { signal: request.signal }),
        });
        return { status: answer.statusCode, headers: answer.headers, text: await read(answer.body) };
      } catch (error) {
        throw explainFailure(url, error);
      }
    },
    close: async () => {
      await Promise.all(Object.values(lanes).map((lane) => lane.destroy()));
    },
  };
};

/** HTTPS_PROXY and NO_PROXY, in either case, as other tools read them. */
export const proxyFromEnvironment = (env: Readonly<Record<string, string | undefined>>): ProxySettings => {
  const httpsProxy = env['https_proxy'] ?? env['HTTPS_PROXY'];
  const noProxy = env['no_proxy'] ?? env['NO_PROXY'];
  return {
    ...(httpsProxy === undefined ? {} : { httpsProxy }),
    ...(noProxy === undefined ? {} : { noProxy }),
  };
};
