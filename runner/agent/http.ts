import { setMaxListeners } from 'node:events';
import { OutriderError } from '@outrider/protocol';
import {
  createConnections,
  exchange,
  type Connections,
  type HttpResponse,
  type ProxySettings,
} from './exchange.ts';

/** Requests of one lane never wait for those of another: a held poll or a slow log upload delays no result. */
export type LaneName = 'poll' | 'control' | 'reports' | 'logs';

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

export interface Transport {
  readonly url: string;
  /** Resolves with any HTTP answer. @throws OutriderError OperatorUnreachable, CertificateMismatch */
  send(request: HttpRequest): Promise<HttpResponse>;
  close(): Promise<void>;
}

const connections: Readonly<Record<LaneName, number>> = { poll: 1, control: 8, reports: 1, logs: 1 };

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
  // Node adds advice on its own options, which nobody can give to this program.
  const message = error.message.replace(/; if the root CA is installed locally.*$/s, '');
  return { code, message: message === '' ? code : message };
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
  const { verify, ca, proxy } = options;
  const open = (lane: LaneName): Connections =>
    createConnections(true, {
      connections: connections[lane],
      minVersion: 'TLSv1.3',
      ...(verify === undefined ? {} : { verify }),
      ...(ca === undefined ? {} : { ca }),
      ...(proxy === undefined ? {} : { proxy }),
    });
  const lanes: Record<LaneName, Connections> = {
    poll: open('poll'),
    control: open('control'),
    reports: open('reports'),
    logs: open('logs'),
  };
  const closing = new AbortController();
  setMaxListeners(0, closing.signal);

  return {
    url,
    send: async ({ lane, path, signal, silenceMs = 15_000, ...request }) => {
      const either = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);
      try {
        return await exchange({
          ...request,
          url: url + path,
          connections: lanes[lane],
          signal: either,
          silenceMs,
        });
      } catch (error) {
        throw explainFailure(url, error);
      }
    },
    close: async () => {
      closing.abort();
      for (const lane of Object.values(lanes)) lane.destroy();
    },
  };
};
