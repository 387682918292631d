import { createHash } from 'node:crypto';
import http from 'node:http';
import https from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { failureFrom, KubeError, type TransportReason } from './kube-error.ts';

/** Probing of an idle connection starts after this time; libuv gives up 10 s later. */
const keepAliveProbeMs = 15_000;
/** Credentials are asked for again after this time: a ServiceAccount's token file rotates. */
const credentialLifeMs = 10_000;

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

/** A call that ends with its signal. */
export type SignalledCall = Call & { readonly signal: AbortSignal };
/** `deadlineMs`: until the headers. */
type TimedCall = SignalledCall & { readonly deadlineMs: number };

/** One API server: authenticated requests over kept-alive connections. */
export interface Transport {
  /** The answer's text; throws KubeError for every answer that is not 2xx and for none at all. */
  send(call: Call): Promise<string>;
  /** The open answer, once its headers say 2xx. It ends with the signal. */
  open(call: SignalledCall): Promise<http.IncomingMessage>;
}

/** What client-node fills in: TLS material, credentials, and headers as a plain record. */
type AccessOptions = Omit<https.RequestOptions, 'headers'> & { headers?: Record<string, string> };

interface Access {
  readonly options: AccessOptions;
  readonly until: number;
}

/** `deadlineMs`: how long a request may take in all; for a watch, until its headers. */
export const createTransport = (
  kubeConfig: KubeConfig,
  { deadlineMs }: { readonly deadlineMs: number },
): Transport => {
  const agentFor = createAgents();
  let access: Promise<Access> | undefined;

  const authenticated = async (): Promise<AccessOptions> => {
    const known = await access?.catch(() => undefined);
    if (known !== undefined && known.until > performance.now()) return known.options;
    access = readAccess(kubeConfig, agentFor);
    return (await access).options;
  };

  const open = async (call: SignalledCall): Promise<http.IncomingMessage> => {
    const server = kubeConfig.getCurrentCluster()?.server;
    if (server === undefined)
      throw transportFailure(call, 'Unreachable', new Error('the kubeconfig names no cluster'));
    let options: AccessOptions;
    try {
      options = await authenticated();
    } catch (error) {
      access = undefined;
      throw transportFailure(call, 'Unreachable', error);
    }
    const response = await exchange(new URL(server.replace(/\/+$/, '') + call.path), options, {
      ...call,
      deadlineMs,
    });
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    if (status === 401) access = undefined;
    const text = await readText(response, call);
    throw failureFrom(`${call.method} ${call.path}`, {
      status,
      text,
      retryAfter: response.headers['retry-after'],
    });
  };

  const send = async (call: Call): Promise<string> => {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new TimeoutError()), deadlineMs);
    const signal = call.signal === undefined ? late.signal : AbortSignal.any([call.signal, late.signal]);
    try {
      return await readText(await open({ ...call, signal }), { ...call, signal });
    } finally {
      clearTimeout(timer);
    }
  };

  return { send, open };
};

/** Agents by server credentials: a renewed client certificate or CA gets a new one, and connections stay open otherwise. */
const createAgents = (): ((secure: boolean, options: AccessOptions) => http.Agent) => {
  let current: { readonly fingerprint: string; readonly agent: http.Agent } | undefined;
  return (secure, options) => {
    const { ca, cert, key, passphrase, rejectUnauthorized, servername } = options;
    const facts = [secure, ca, cert, key, passphrase, rejectUnauthorized, servername];
    const fingerprint = createHash('sha256').update(JSON.stringify(facts)).digest('hex');
    if (current?.fingerprint === fingerprint) return current.agent;
    const agent = secure ? new https.Agent({ keepAlive: true }) : new http.Agent({ keepAlive: true });
    current = { fingerprint, agent };
    return agent;
  };
};

const readAccess = async (
  kubeConfig: KubeConfig,
  agentFor: (secure: boolean, options: AccessOptions) => http.Agent,
): Promise<Access> => {
  const until = performance.now() + credentialLifeMs;
  const options: AccessOptions = {};
  await kubeConfig.applyToHTTPSOptions(options);
  const cluster = kubeConfig.getCurrentCluster();
  // With a proxy the library's own agent is the one that knows the way.
  if (cluster?.proxyUrl === undefined)
    options.agent = agentFor(cluster?.server.startsWith('https:') ?? true, options);
  return { options, until };
};

const idempotent = new Set(['GET', 'PATCH', 'PUT', 'DELETE']);

/** Sends; repeats once where the server had closed the kept-alive connection just before. */
const exchange = async (url: URL, options: AccessOptions, call: TimedCall): Promise<http.IncomingMessage> => {
  const first = await attempt(url, options, call);
  if (first.response !== undefined) return first.response;
  const stale = first.reused && !call.signal.aborted && idempotent.has(call.method);
  if (!stale) throw failureOf(call, first.error);
  const second = await attempt(url, options, call);
  if (second.response !== undefined) return second.response;
  throw failureOf(call, second.error);
};

type Attempt =
  | { readonly response: http.IncomingMessage; readonly error?: undefined; readonly reused: boolean }
  | { readonly response?: undefined; readonly error: unknown; readonly reused: boolean };

const attempt = (url: URL, options: AccessOptions, call: TimedCall): Promise<Attempt> =>
  new Promise((resolve) => {
    if (call.signal.aborted) return resolve({ error: call.signal.reason, reused: false });
    const headers = { ...options.headers, ...call.headers, ...lengthOf(call.body) };
    const { request: send } = url.protocol === 'http:' ? http : https;
    const request = send(url, { ...options, method: call.method, headers, signal: call.signal });
    // A watch has no deadline of its own, so its headers have: an API server that accepts and says nothing is down.
    const headersDue = setTimeout(() => request.destroy(new TimeoutError()), call.deadlineMs);
    request.once('socket', (socket) => socket.setKeepAlive(true, keepAliveProbeMs));
    request.once('response', (response) => {
      clearTimeout(headersDue);
      resolve({ response, reused: request.reusedSocket });
    });
    request.on('error', (error) => {
      clearTimeout(headersDue);
      resolve({ error, reused: request.reusedSocket && isReset(error) });
    });
    request.end(call.body);
  });

class TimeoutError extends Error {
  override readonly name = 'TimeoutError';
}

const lengthOf = (body: string | undefined): Record<string, string> =>
  body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(body)) };

const isReset = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ECONNRESET' || error.code === 'EPIPE');

const readText = async (response: http.IncomingMessage, call: SignalledCall): Promise<string> => {
  try {
    response.setEncoding('utf8');
    let text = '';
    for await (const piece of response) text += String(piece);
    return text;
  } catch (error) {
    throw failureOf(call, error);
  }
};

/** The KubeError for a connection that failed or was ended by the call's signal. */
export const failureOf = (call: SignalledCall, error: unknown): KubeError => {
  const cause: unknown = call.signal.aborted ? call.signal.reason : error;
  const late = cause instanceof Error && cause.name === 'TimeoutError';
  return transportFailure(call, late ? 'Timeout' : call.signal.aborted ? 'Aborted' : 'Unreachable', cause);
};

const describe = (reason: TransportReason, cause: unknown): string => {
  if (reason === 'Timeout') return 'it took longer than it may';
  if (reason === 'Aborted') return 'it was given up';
  return cause instanceof Error ? cause.message : String(cause);
};

const transportFailure = (call: Call, reason: TransportReason, cause: unknown): KubeError =>
  new KubeError(
    {
      status: 0,
      reason,
      message: `The API server did not answer ${call.method} ${call.path}: ${describe(reason, cause)} (${reason})`,
    },
    { cause },
  );
