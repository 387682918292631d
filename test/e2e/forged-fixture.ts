import { generateProof } from 'dpop';
import type { RunDetails } from '@outrider/portal';
import {
  encodeFrame,
  encodeLogBatch,
  logBatchType,
  protocolVersion,
  type AttemptRef,
  type LogChunk,
  type PollResponse,
  type SessionResponse,
} from '@outrider/protocol';
import { loadCa } from '@outrider/runner/agent/ca';
import type { HttpResponse } from '@outrider/runner/agent/exchange';
import {
  createTransport,
  type HttpRequest,
  type LaneName,
  type Transport,
} from '@outrider/runner/agent/http';
import { loadKey, type RunnerKey } from '@outrider/runner/agent/key';
import { register } from '@outrider/runner/agent/register';
import { createAuthorizer, type Authorizer } from '@outrider/runner/agent/token';
import type { Stack } from './stack.ts';

const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const never = new AbortController().signal;

/** What the operator answered, and what it calls it. */
export interface Answered {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const answered = ({ status, text }: HttpResponse): Answered => {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    body = { text };
  }
  return { status, body: Object(body) };
};

/** Codes of the answers to single attempts, or of the whole call when that was refused. */
export const codesOf = ({ body }: Answered): string[] => {
  if (typeof body['code'] === 'string') return [body['code']];
  const items = body['attempts'] ?? body['reports'];
  if (!Array.isArray(items)) return [];
  return items.map(
    (item: { status?: string; error?: { code: string } }) => item.error?.code ?? item.status ?? 'ok',
  );
};

/** A joined runner that speaks the protocol by hand, so that it can lie. */
export class Speaker {
  readonly key: RunnerKey;
  readonly transport: Transport;
  readonly #authorizer: Authorizer;
  session = '';
  generation = '';

  private constructor(key: RunnerKey, transport: Transport, clientId: string) {
    this.key = key;
    this.transport = transport;
    this.#authorizer = createAuthorizer({ transport, key, clientId });
  }

  static async join(stack: Stack, name: string): Promise<Speaker> {
    const stateDir = stack.footprint.subfolder(`speaker-${name}`);
    const token = await stack.registrationToken();
    const joined = await register({ token, name, stateDir, proxy: {}, logger, stop: never, patienceMs: 0 });
    const key = await loadKey(stateDir);
    const ca = await loadCa({ stateDir });
    if (key === undefined || ca === undefined) throw new Error(`runner ${name} has not joined`);
    return new Speaker(key, createTransport({ url: joined.url, ca }), joined.clientId);
  }

  /** A call with a fresh proof; `body` goes as it is. */
  async call(
    path: string,
    body: string | Uint8Array,
    { lane = 'control', headers = {} }: { lane?: LaneName; headers?: Record<string, string> } = {},
  ): Promise<Answered> {
    const type = { 'content-type': 'application/json', ...headers };
    return answered(await this.#authorizer.post({ lane, path, headers: type, body }));
  }

  /** The envelope of this session, with what is told in its place. */
  json(path: string, message: object, lane: LaneName = 'control'): Promise<Answered> {
    const { session, generation } = this;
    return this.call(path, JSON.stringify({ session, generation, ...message }), { lane });
  }

  logs(
    chunks: readonly LogChunk[] | Uint8Array,
    envelope: { session?: string; generation?: string } = {},
  ): Promise<Answered> {
    const body = chunks instanceof Uint8Array ? chunks : encodeLogBatch(chunks);
    const headers = {
      'content-type': logBatchType,
      'outrider-session': envelope.session ?? this.session,
      'outrider-generation': envelope.generation ?? this.generation,
    };
    return this.call('/runner/v1/logs', body, { lane: 'logs', headers });
  }

  async open(): Promise<void> {
    const request = {
      protocolVersion,
      version: '0.1.0',
      startedAt: new Date().toISOString(),
      capacity: 4,
      nodes: ['ssh-exec'],
      inventory: [],
    };
    const { body } = await this.call('/runner/v1/session', JSON.stringify(request));
    const { session, generation } = body as unknown as SessionResponse;
    this.session = session;
    this.generation = generation;
  }

  async poll(held: readonly AttemptRef[] = []): Promise<PollResponse> {
    const now = new Date().toISOString();
    const { body } = await this.json(
      '/runner/v1/poll',
      { capacity: 4, load: held.length, held, now },
      'poll',
    );
    return body as unknown as PollResponse;
  }

  /** Makes a call, and keeps what went over the wire, as somebody in between could. */
  async copied(path: string, body: string): Promise<{ answer: Answered; request: HttpRequest }> {
    const sent: HttpRequest[] = [];
    const send = (request: HttpRequest): Promise<HttpResponse> => {
      sent.push(request);
      return this.transport.send(request);
    };
    const transport = { url: this.transport.url, send, close: () => this.transport.close() };
    const authorizer = createAuthorizer({ transport, key: this.key, clientId: this.key.thumbprint });
    const headers = { 'content-type': 'application/json' };
    const answer = answered(await authorizer.post({ lane: 'control', path, headers, body }));
    const request = sent.at(-1);
    if (request === undefined) throw new Error('nothing was sent');
    return { answer, request };
  }

  async resend(request: HttpRequest): Promise<Answered> {
    return answered(await this.transport.send(request));
  }

  /** A proof by this key for a token that another key is bound to. */
  async stolen(path: string, accessToken: string): Promise<Answered> {
    const proof = await generateProof(
      this.key.pair,
      this.transport.url + path,
      'POST',
      undefined,
      accessToken,
    );
    const headers = { dpop: proof, authorization: `DPoP ${accessToken}`, 'content-type': 'application/json' };
    return answered(
      await this.transport.send({ lane: 'control', method: 'POST', path, headers, body: '{}' }),
    );
  }
}

/** One frame of standard output as a chunk at this offset. */
export const chunkOf = (attempt: AttemptRef, text: string, { offset = 0, seq = 0 } = {}): LogChunk => ({
  ...attempt,
  offset,
  bytes: encodeFrame({ seq, stream: 'stdout', ts: 0n, payload: Buffer.from(text) }),
});

/** The run as the portal has it, which is the ledger's. */
export const ledgerOf = async (stack: Stack, run: string): Promise<RunDetails> =>
  JSON.parse(await stack.mustCli('describe', run, '-o', 'json')) as RunDetails;
