import { createHash, randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  attemptKey,
  decodeLogBatch,
  formatRegistrationToken,
  paths,
  type AttemptAnswer,
  type AttemptRef,
  type Cancel,
  type HostKeyRequest,
  type LogAnswer,
  type LogChunk,
  type Offer,
  type PollRequest,
  type RecoveryRequest,
  type RegisterRequest,
  type Report,
  type SessionRequest,
  type TaskResult,
} from '@outrider/protocol';
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify } from 'jose';
import { keyHash } from '../ca.ts';
import { makeCertificates, type TestCertificates } from './certificates.ts';
import { appendTo, learn, problem } from './stores.ts';

/** What a test makes of one request. `lose`: carry it out and never answer. `cut`: break off in the middle of the answer. */
export type Fault = 'lose' | 'cut' | { status: number; code: string } | undefined;

interface Exchange {
  readonly path: string;
  readonly body: Buffer;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

const secret = 'secret-of-the-token';

/** A small operator: real TLS, real proofs and the protocol's rules, with its state in memory and faults on demand. */
export class TestOperator {
  url = '';
  readonly certificates: TestCertificates;
  readonly #server: Server;
  readonly nonces = ['first-nonce'];
  readonly generation = 'g1';
  session: string | undefined;
  clientKey: RegisterRequest['publicKey'] | undefined;
  registrations = 0;
  readonly sessions: SessionRequest[] = [];
  readonly polls: PollRequest[] = [];
  readonly accepted = new Set<string>();
  readonly reports: Report[] = [];
  readonly results = new Map<string, TaskResult>();
  readonly logs = new Map<string, Buffer>();
  readonly abandoned = new Set<string>();
  /** The ledger was restored. */
  recovering = false;
  readonly recoveries: RecoveryRequest[] = [];
  settings = { pollMs: 20_000, leaseMs: 90_000, killGraceMs: 30_000 };
  /** By `host:port`. */
  readonly hostKeys = new Map<string, string>();
  closed = false;
  issued = 0;
  /** Called for each request with its number on that path, from 1. */
  fault: (path: string, n: number) => Fault = () => undefined;
  credentials: (jws: string) => Promise<unknown> = () => Promise.resolve({});
  #offers: Offer[] = [];
  #cancels: Cancel[] = [];
  #held: (() => void) | undefined;
  readonly #counts = new Map<string, number>();

  constructor(certificates: TestCertificates) {
    this.certificates = certificates;
    const tls = { key: certificates.key, cert: certificates.cert, minVersion: 'TLSv1.3' } as const;
    this.#server = createServer(tls, (request, response) => {
      this.#receive(request, response).catch((error: unknown) => {
        this.#answer(response, 500, problem('Internal', String(error)));
      });
    });
  }

  static async start(): Promise<TestOperator> {
    const operator = new TestOperator(await makeCertificates());
    await new Promise<void>((resolve) => operator.#server.listen(0, '127.0.0.1', resolve));
    operator.url = `https://127.0.0.1:${(operator.#server.address() as AddressInfo).port}`;
    return operator;
  }

  get token(): string {
    return formatRegistrationToken({ url: this.url, secret, caKeyHash: keyHash(this.certificates.ca) });
  }

  offer(ref: AttemptRef, spec: Offer['spec']): void {
    this.#offers.push({ ...ref, spec, expiresAt: new Date(Date.now() + 10_000).toISOString() });
    this.#held?.();
  }

  cancel(cancel: Cancel): void {
    this.#cancels.push(cancel);
    this.#held?.();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const exchange = { path, body: Buffer.concat(parts), request, response };
    if (path === paths.ca) {
      response.end(this.certificates.ca);
      return;
    }
    if (path === paths.register) return this.#register(exchange);
    if (!(await this.#checkProof(exchange))) return;
    if (path === paths.token) return this.#issueToken(exchange);
    return this.#serve(exchange);
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { path, response } = exchange;
    const n = (this.#counts.get(path) ?? 0) + 1;
    this.#counts.set(path, n);
    const fault = this.fault(path, n);
    if (typeof fault === 'object') return this.#answer(response, fault.status, problem(fault.code));
    const answer = await this.#handle(exchange);
    if (fault === 'lose') response.destroy();
    else if (fault === 'cut') {
      response.write(' {"offers":[');
      setImmediate(() => response.destroy());
    } else this.#answer(response, answer.status, answer.body);
  }

  #answer(response: ServerResponse, status: number, body: unknown): void {
    if (!response.headersSent) response.writeHead(status, { 'dpop-nonce': this.nonces.at(-1) ?? '' });
    response.end(JSON.stringify(body));
  }

  #register({ body, response }: Exchange): void {
    const request = JSON.parse(body.toString()) as RegisterRequest;
    const claims = decodeJwt(request.proof);
    const right =
      claims.jti === createHash('sha256').update(secret).digest('hex') && request.secret === secret;
    this.registrations += 1;
    if (!right) return this.#answer(response, 401, problem('RegistrationTokenInvalid'));
    if (this.clientKey !== undefined && this.clientKey.x !== request.publicKey.x)
      return this.#answer(
        response,
        409,
        problem('RegistrationTokenUsed', 'The token was used by another key.'),
      );
    this.clientKey = request.publicKey;
    const fault = this.fault(paths.register, this.registrations);
    if (fault === 'lose') {
      response.destroy();
      return;
    }
    const { name, tags = ['linux'] } = request;
    this.#answer(response, 200, { namespace: 'prod', name, uid: 'u1', clientId: 'client-1', tags });
  }

  /** RFC 9449: the key, method, URL and the newest nonce. */
  async #checkProof({ path, request, response }: Exchange): Promise<boolean> {
    const proof = String(request.headers['dpop']);
    const { jwk } = decodeProtectedHeader(proof);
    const { payload } = await jwtVerify(proof, await importJWK({ ...jwk }, 'Ed25519'));
    const right =
      payload['htm'] === request.method && payload['htu'] === this.url + path && jwk?.x === this.clientKey?.x;
    if (right && payload['nonce'] === this.nonces.at(-1)) return true;
    this.#answer(
      response,
      401,
      right ? { error: 'use_dpop_nonce' } : problem('Unauthenticated', 'wrong proof'),
    );
    return false;
  }

  async #issueToken({ body, response }: Exchange): Promise<void> {
    const form = new URLSearchParams(body.toString());
    const key = await importJWK({ ...this.clientKey }, 'EdDSA');
    const audience = this.url + paths.token;
    await jwtVerify(form.get('client_assertion') ?? '', key, {
      audience,
      subject: 'client-1',
      issuer: 'client-1',
    });
    this.issued += 1;
    this.#answer(response, 200, {
      access_token: `token-${this.issued}`,
      token_type: 'DPoP',
      expires_in: 300,
    });
  }

  async #handle({ path, body, request, response }: Exchange): Promise<{ status: number; body: unknown }> {
    if (request.headers.authorization !== `DPoP token-${this.issued}`)
      return { status: 401, body: problem('Unauthenticated', 'old token') };
    if (path === paths.logs)
      return this.#forSession(String(request.headers['outrider-session']), () => this.#appendLogs(body));
    if (path === paths.credentials) return { status: 200, body: await this.credentials(body.toString()) };
    const message: unknown = JSON.parse(body.toString());
    if (path === paths.session) return { status: 200, body: this.#open(message as SessionRequest) };
    return this.#forSession((message as { session: string }).session, () =>
      this.#act(path, message, response),
    );
  }

  async #forSession(session: string, act: () => unknown): Promise<{ status: number; body: unknown }> {
    if (this.session === session) return { status: 200, body: await act() };
    return {
      status: 409,
      body: problem(this.session === undefined ? 'SessionUnknown' : 'SessionSuperseded'),
    };
  }

  #open(request: SessionRequest): unknown {
    this.sessions.push(request);
    this.session = randomUUID();
    const attempts = request.inventory.map(({ task, epoch }) => ({
      task,
      epoch,
      decision: this.abandoned.has(`${task}/${epoch}`) ? 'Abandon' : 'Continue',
      logOffset: this.logs.get(`${task}/${epoch}`)?.length ?? 0,
    }));
    const { session, generation, settings, recovering } = this;
    return { session, generation, settings, attempts, recovering };
  }

  #act(path: string, message: unknown, response: ServerResponse): unknown {
    if (path === paths.poll) return this.#poll(message as PollRequest, response);
    if (path === paths.accept) return this.#accept(message as { attempts: AttemptRef[] });
    if (path === paths.reports) return this.#report(message as { reports: Report[] });
    if (path === paths.recovery)
      return {
        accepted: this.recoveries.at(this.recoveries.push(message as RecoveryRequest) - 1)?.items.length,
      };
    if (path === paths.hostKeys) return learn(this.hostKeys, message as HostKeyRequest);
    this.closed = true;
    return {};
  }

  async #poll(request: PollRequest, response: ServerResponse): Promise<unknown> {
    this.polls.push(request);
    if (this.#offers.length + this.#cancels.length === 0) {
      response.writeHead(200, { 'dpop-nonce': this.nonces.at(-1) ?? '' });
      response.write(' ');
      await new Promise<void>((resolve) => {
        this.#held = resolve;
        response.on('close', resolve);
      });
      this.#held = undefined;
      if (response.destroyed) return {};
    }
    return { offers: this.#offers.splice(0), cancels: this.#cancels.splice(0) };
  }

  #accept({ attempts }: { attempts: AttemptRef[] }): unknown {
    return {
      attempts: attempts.map((ref): AttemptAnswer => {
        const again = this.accepted.has(attemptKey(ref));
        this.accepted.add(attemptKey(ref));
        return { ...ref, status: again ? 'Duplicate' : 'Recorded' };
      }),
    };
  }

  #report({ reports }: { reports: Report[] }): unknown {
    const answers = reports.map((report): AttemptAnswer => {
      this.reports.push(report);
      const ref = { task: report.task, epoch: report.epoch };
      const known = this.results.get(attemptKey(ref));
      if (report.result === undefined) return { ...ref, status: 'Recorded' };
      this.results.set(attemptKey(ref), known ?? report.result);
      if (known === undefined) return { ...ref, status: 'Recorded' };
      const same = JSON.stringify(known) === JSON.stringify(report.result);
      return same
        ? { ...ref, status: 'Duplicate' }
        : { ...ref, status: 'Refused', error: problem('result_conflict') };
    });
    return { reports: answers, offers: this.#offers.splice(0) };
  }

  #appendLogs(body: Buffer): unknown {
    return { attempts: decodeLogBatch(body).map((chunk) => this.appendLog(chunk)) };
  }

  appendLog(chunk: LogChunk): LogAnswer {
    return appendTo(this.logs, chunk);
  }
}
