import { once } from 'node:events';
import { Agent, request as httpsRequest } from 'node:https';
import {
  OutriderError,
  paths,
  type HostKeyRequest,
  type LogChunk,
  type PollResponse,
  type RecoveryRequest,
} from '@outrider/protocol';
import type { AuthenticatedRunner, Dispatch } from '../dispatch/contract.ts';
import { startIdentity, type IdentityFixture, type TestKey } from '../identity/fixture.ts';
import { startRunnerApi, type RunnerApi } from './server.ts';

export const nothing: PollResponse = { offers: [], cancels: [] };
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** Holds polls until they are told something, as the dispatcher does. */
export class HeldPolls implements Dispatch {
  readonly logged: LogChunk[] = [];
  readonly #open = new Map<
    string,
    { resolve: (answer: PollResponse) => void; reject: (error: Error) => void }
  >();
  aborted = 0;
  #waiting: (() => void)[] = [];

  poll(runner: AuthenticatedRunner, _: unknown, signal: AbortSignal): Promise<PollResponse> {
    return new Promise((resolve, reject) => {
      this.#open.set(runner.clientId, { resolve, reject });
      signal.addEventListener('abort', () => {
        this.aborted += 1;
        this.#changed();
        resolve(nothing);
      });
      this.#changed();
    });
  }

  #changed(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  get open(): number {
    return this.#open.size;
  }

  answer(clientId: string, answer: PollResponse): void {
    this.#open.get(clientId)?.resolve(answer);
  }

  revoke(clientId: string): void {
    this.#open
      .get(clientId)
      ?.reject(
        new OutriderError({ code: 'RunnerRevoked', message: 'It was revoked.', action: 'Join again.' }),
      );
  }

  openSession = async () => ({
    session: 's1',
    generation: 'g1',
    settings: { pollMs: 20_000, leaseMs: 90_000, killGraceMs: 30_000 },
    attempts: [],
  });
  accept = async () => {
    throw new Error('the disk is full: /var/lib/outrider');
  };
  report = async () => ({ reports: [], offers: [] });
  recover = async (_: AuthenticatedRunner, { items }: RecoveryRequest) => ({ accepted: items.length });
  learnHostKey = async (_: AuthenticatedRunner, { key }: HostKeyRequest) => ({ key, learned: true });
  closeSession = async () => {};
  logs = async (_: AuthenticatedRunner, __: string, chunks: readonly LogChunk[]) => {
    this.logged.push(...chunks);
    return { attempts: chunks.map(({ task, epoch, offset }) => ({ task, epoch, offset })) };
  };
  authorizeSecrets = async () => {
    throw new OutriderError({ code: 'StateMismatch', message: 'It is over.', action: 'Drop it.' });
  };
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  readonly body: unknown;
}

export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
  /** Called with the text so far whenever there is more. */
  readonly onText?: (text: string) => void;
}

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** The API over a real socket, with one runner that has joined and holds an access token. */
export class ApiFixture {
  readonly fixture: IdentityFixture;
  readonly dispatch: HeldPolls;
  readonly api: RunnerApi;
  readonly key: TestKey;
  readonly #agent: Agent;
  #accessToken = '';

  private constructor(parts: {
    fixture: IdentityFixture;
    dispatch: HeldPolls;
    api: RunnerApi;
    key: TestKey;
  }) {
    this.fixture = parts.fixture;
    this.dispatch = parts.dispatch;
    this.api = parts.api;
    this.key = parts.key;
    this.#agent = new Agent({ ca: parts.fixture.identity.caPem, keepAlive: true });
  }

  static async start(): Promise<ApiFixture> {
    // TLS checks the certificate's dates by the machine's clock.
    const fixture = await startIdentity({ start: Date.now() });
    const { identity } = fixture;
    const dispatch = new HeldPolls();
    const place = { host: '127.0.0.1', port: 0 };
    const api = await startRunnerApi({
      identity,
      dispatch,
      generation: () => 'g1',
      ...place,
      logger: silent,
      keepaliveMs: 50,
    });
    const key = (await fixture.join('edge-1')).useNonce(identity.nonce());
    const made = new ApiFixture({ fixture, dispatch, api, key });
    made.#accessToken = String(Object((await made.getToken()).body).access_token);
    return made;
  }

  async call(
    path: string,
    { method = 'POST', headers = {}, body = '', signal, onText }: Call = {},
  ): Promise<Answer> {
    // The client would check the certificate against a Host header of the test's own.
    const trust = headers['host'] === undefined ? {} : { checkServerIdentity: () => undefined };
    const ended = signal === undefined ? {} : { signal };
    const request = httpsRequest(this.api.url + path, {
      method,
      headers,
      agent: this.#agent,
      ...trust,
      ...ended,
    });
    request.end(body);
    const [response] = await once(request, 'response');
    let text = '';
    for await (const chunk of response) {
      text += String(chunk);
      onText?.(text);
    }
    return { status: response.statusCode, headers: response.headers, text, body: parse(text) };
  }

  /** With a key-bound token and a fresh proof. */
  async signed(path: string, { headers = {}, ...rest }: Call = {}): Promise<Answer> {
    const proof = await this.key.proof(this.api.url + path, this.#accessToken);
    const own = { authorization: proof.authorization ?? '', dpop: proof.dpop ?? '' };
    return this.call(path, { ...rest, headers: { 'content-type': 'application/json', ...own, ...headers } });
  }

  async getToken(): Promise<Answer> {
    const url = this.api.url + paths.token;
    const body = new URLSearchParams(await this.key.form(url)).toString();
    const { dpop = '' } = await this.key.proof(url);
    return this.call(paths.token, {
      body,
      headers: { dpop, 'content-type': 'application/x-www-form-urlencoded' },
    });
  }

  async poll(options: Pick<Call, 'signal' | 'onText'> = {}): Promise<Answer> {
    const now = '2026-11-22T12:00:00Z';
    const body = JSON.stringify({ session: 's1', generation: 'g1', capacity: 1, load: 0, held: [], now });
    return this.signed(paths.poll, { body, ...options });
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    await this.api.close();
    await this.fixture.close();
  }
}
