import type { SecureContext } from 'node:tls';
import {
  encodeLogBatch,
  logBatchType,
  maxBatch,
  paths,
  protocolVersion,
  type AcceptResponse,
  type AttemptRef,
  type LogChunk,
  type LogsResponse,
  type Offer,
  type PollResponse,
  type Report,
  type ReportsResponse,
  type SessionResponse,
  type TaskResult,
  type TokenResponse,
} from '@outrider/protocol';
import { Lane, type Answer } from './lane.ts';
import { nonce, Signer } from './signer.ts';
import type { Credentials } from './site.ts';

/** Tokens are renewed at half their life. */
const renewAfter = 0.5;
const emptyHash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export interface SimulatedRunnerOptions {
  readonly credentials: Credentials;
  readonly port: number;
  readonly context: SecureContext;
  readonly capacity: number;
  /** Milliseconds since the Unix epoch at which its first token is renewed. */
  readonly renewAt: number;
}

interface WaitingReports {
  readonly reports: readonly Report[];
  readonly resolve: (offers: readonly Offer[]) => void;
  readonly reject: (error: unknown) => void;
}

const json = 'content-type: application/json\r\n';

/**
 * The wire side of a runner and nothing else: same requests, same proofs, same number of connections, no journal and no
 * executor.
 */
export class SimulatedRunner {
  readonly name: string;
  readonly capacity: number;
  readonly #signer: Signer;
  readonly #poll: Lane;
  readonly #work: Lane;
  readonly #logs: Lane;
  readonly #base: string;
  #renewAt: number;
  #session = '';
  #generation = '';
  readonly #held = new Map<string, AttemptRef>();
  readonly #waiting: WaitingReports[] = [];
  #reporting = false;

  constructor({ credentials, port, context, capacity, renewAt }: SimulatedRunnerOptions) {
    this.name = credentials.name;
    this.capacity = capacity;
    this.#signer = new Signer(credentials);
    const lane = { port, context };
    this.#poll = new Lane(lane);
    this.#work = new Lane(lane);
    this.#logs = new Lane(lane);
    this.#base = `localhost:${port}`;
    this.#renewAt = renewAt;
  }

  get hasSession(): boolean {
    return this.#session !== '';
  }

  cut(): void {
    this.#poll.cut();
    this.#work.cut();
    this.#logs.cut();
  }

  async openSession(): Promise<void> {
    const { session, generation } = await this.#json<SessionResponse>(this.#poll, paths.session, {
      protocolVersion,
      version: '0.0.0-bench',
      startedAt: new Date().toISOString(),
      capacity: this.capacity,
      nodes: ['ssh-exec'],
      inventory: [],
    });
    this.#session = session;
    this.#generation = generation;
  }

  async poll(): Promise<PollResponse> {
    if (Date.now() >= this.#renewAt) await this.#renew();
    return this.#json<PollResponse>(this.#poll, paths.poll, {
      ...this.#envelope(),
      capacity: this.capacity,
      load: this.#held.size,
      held: [...this.#held.values()],
      now: new Date().toISOString(),
    });
  }

  /** Takes offers; what is answered may be started. */
  async accept(offers: readonly Offer[]): Promise<readonly AttemptRef[]> {
    const refs = offers.map(({ task, epoch }) => ({ task, epoch }));
    const answer = await this.#json<AcceptResponse>(this.#work, paths.accept, {
      ...this.#envelope(),
      attempts: refs,
    });
    const taken = answer.attempts.filter(({ status }) => status !== 'Refused');
    for (const { task, epoch } of taken) this.#held.set(task, { task, epoch });
    return taken.map(({ task, epoch }) => ({ task, epoch }));
  }

  /** Reports that attempts have started; resolves with the next offers. */
  async start(refs: readonly AttemptRef[]): Promise<readonly Offer[]> {
    const startedAt = new Date().toISOString();
    return this.#report(refs.map((ref) => ({ ...ref, kind: 'Started' as const, startedAt })));
  }

  /** Ends attempts; resolves with the next offers. */
  async finish(
    refs: readonly AttemptRef[],
    log: TaskResult['log'] = { length: 0, sha256: emptyHash },
  ): Promise<readonly Offer[]> {
    const at = new Date().toISOString();
    const result = { outcome: 'Succeeded', exitCode: 0, startedAt: at, finishedAt: at, log } as const;
    const reports = refs.map((ref) => ({ ...ref, kind: 'Result' as const, result }));
    for (const { task } of refs) this.#held.delete(task);
    return this.#report(reports);
  }

  upload(chunks: readonly LogChunk[]): Promise<LogsResponse> {
    const more = `content-type: ${logBatchType}\r\noutrider-session: ${this.#session}\r\noutrider-generation: ${this.#generation}\r\n`;
    return this.#signed<LogsResponse>(this.#logs, { path: paths.logs, more }, encodeLogBatch(chunks));
  }

  /** As the runner's lane of reports: one request in flight, with all that waits. Resolves with offers, for one of those that waited. */
  #report(reports: readonly Report[]): Promise<readonly Offer[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ reports, resolve, reject });
      if (!this.#reporting) void this.#sendReports();
    });
  }

  async #sendReports(): Promise<void> {
    this.#reporting = true;
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch();
      const reports = batch.flatMap((each) => each.reports);
      const free = this.capacity - this.#held.size;
      try {
        const body = { ...this.#envelope(), reports, free };
        const { offers } = await this.#json<ReportsResponse>(this.#work, paths.reports, body);
        for (const [i, each] of batch.entries()) each.resolve(i === 0 ? offers : []);
      } catch (error) {
        for (const each of batch) each.reject(error);
      }
    }
    this.#reporting = false;
  }

  #takeBatch(): readonly WaitingReports[] {
    let count = 0;
    const end = this.#waiting.findIndex(({ reports }, i) => (count += reports.length) > maxBatch && i > 0);
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end);
  }

  #envelope(): { session: string; generation: string } {
    return { session: this.#session, generation: this.#generation };
  }

  async #renew(): Promise<void> {
    const url = `https://${this.#base}${paths.token}`;
    const { header, form } = this.#signer.askForToken(url);
    const more = `content-type: application/x-www-form-urlencoded\r\n${header}`;
    const answer = await this.#poll.send(this.#request(paths.token, more, form));
    const token = this.#read<TokenResponse>(answer, paths.token);
    this.#signer.useToken(token.access_token);
    this.#renewAt = Date.now() + token.expires_in * 1000 * renewAfter;
  }

  #json<T>(lane: Lane, path: string, body: object): Promise<T> {
    return this.#signed<T>(lane, { path, more: json }, JSON.stringify(body));
  }

  async #signed<T>(
    lane: Lane,
    { path, more }: { path: string; more: string },
    body: string | Uint8Array,
  ): Promise<T> {
    const send = (): Promise<Answer> =>
      lane.send(this.#request(path, more + this.#signer.authorize(`https://${this.#base}${path}`), body));
    const answer = await send();
    if (answer.body.includes('it has expired')) this.#renewAt = 0;
    // The nonce of a minute ago, or none yet: the answer has brought the new one.
    const again = answer.status === 401 && answer.head.includes('use_dpop_nonce');
    this.#noteNonce(answer);
    return this.#read<T>(again ? await send() : answer, path);
  }

  #request(path: string, more: string, body: string | Uint8Array): string | readonly Uint8Array[] {
    const length = Buffer.byteLength(body);
    const head = `POST ${path} HTTP/1.1\r\nhost: ${this.#base}\r\n${more}content-length: ${length}\r\n\r\n`;
    return typeof body === 'string' ? head + body : [Buffer.from(head), body];
  }

  #noteNonce({ head }: Answer): void {
    const [, value] = /\r\ndpop-nonce: (\S+)\r\n/i.exec(head) ?? [];
    if (value !== undefined) nonce.value = value;
  }

  // The type of an answer follows from its path alone, as with every decoder of a wire format.
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters
  #read<T>(answer: Answer, path: string): T {
    this.#noteNonce(answer);
    const body = JSON.parse(answer.body) as T & { error?: { code: string; message: string } };
    if (answer.status === 200 && body.error === undefined) return body;
    throw new Error(`${path} was answered with ${answer.status}: ${answer.body.slice(0, 300)}`);
  }
}
