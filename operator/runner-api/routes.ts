import type { FastifyInstance, FastifyRequest } from 'fastify';
import {
  AcceptRequest,
  CloseRequest,
  HostKeyRequest,
  OutriderError,
  PollRequest,
  RecoveryRequest,
  RegisterRequest,
  ReportsRequest,
  SessionRequest,
  decodeLogBatch,
  logBatchType,
  maxLogBatchBytes,
  paths,
  protocolVersion,
  type LogChunk,
} from '@outrider/protocol';
import { generationMismatch } from '../dispatch/errors.ts';
import type { AuthenticatedRunner, Dispatch } from '../dispatch/contract.ts';
import type { RunnerIdentity } from '../identity/contract.ts';
import { version } from '../version.ts';
import type { OpenPolls } from './open-polls.ts';
import { answerPoll } from './poll.ts';
import { proofOf } from '../http/proof.ts';

/** Joins per client address and minute: a rack behind one address may start together, a guesser gets nowhere. */
const registrationsPerMinute = 120;
const tokensPerMinute = 6000;
const smallBody = 65_536;

export interface RouteOptions {
  readonly identity: RunnerIdentity;
  readonly dispatch: Dispatch;
  /** The ledger's current generation, for log uploads, which name it in a header. */
  readonly generation: () => string;
  readonly polls: OpenPolls;
}

const perMinute = (max: number) => ({ rateLimit: { max, timeWindow: 60_000 } });

const badBody = (what: string, cause?: unknown): OutriderError =>
  new OutriderError(
    {
      code: 'BadRequest',
      message: `The request was refused: ${what}.`,
      action: 'Check that runner and operator have the same version; upgrade the older one.',
    },
    { cause },
  );

const readForm = (body: string): Record<string, string> => {
  const form = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(body)) {
    if (form.has(name)) throw badBody(`${name} stands in the form more than once`);
    form.set(name, value);
  }
  return Object.fromEntries(form);
};

const readChunks = (body: Uint8Array): LogChunk[] => {
  try {
    return decodeLogBatch(body);
  } catch (cause) {
    throw badBody('the body is not a log batch', cause);
  }
};

/** JSON bodies are parsed by Fastify; these are the other three kinds. */
export const addParsers = (app: FastifyInstance): void => {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    async (_: FastifyRequest, body: string) => readForm(body),
  );
  app.addContentTypeParser(
    'application/jose',
    { parseAs: 'string' },
    async (_: FastifyRequest, body: string) => body.trim(),
  );
  app.addContentTypeParser(
    logBatchType,
    { parseAs: 'buffer', bodyLimit: maxLogBatchBytes },
    async (_: FastifyRequest, body: Buffer) => readChunks(body),
  );
};

/** Before there is an identity to show: the CA to pin, joining, and the token endpoint. */
export const identityRoutes = (app: FastifyInstance, { identity }: RouteOptions): void => {
  app.get(paths.ca, { config: perMinute(tokensPerMinute) }, async (_, reply) =>
    reply.type('application/x-pem-file').send(identity.caPem),
  );
  app.post<{ Body: RegisterRequest }>(
    paths.register,
    { schema: { body: RegisterRequest }, bodyLimit: smallBody, config: perMinute(registrationsPerMinute) },
    async (request) => identity.register(request.body),
  );
  app.post<{ Body: Record<string, string> }>(
    paths.token,
    {
      schema: { body: { type: 'object', additionalProperties: { type: 'string' } } },
      bodyLimit: smallBody,
      config: perMinute(tokensPerMinute),
    },
    async (request, reply) => {
      const { token, dpopNonce } = await identity.issueToken(request.body, proofOf(request));
      return reply.header('dpop-nonce', dpopNonce).send(token);
    },
  );
};

/** Looked at before the rest of the body, which another version may well write differently. */
const checkVersion = async (request: FastifyRequest): Promise<void> => {
  const body: unknown = request.body;
  const read = (name: string): unknown =>
    typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
  const spoken = read('protocolVersion');
  if (typeof spoken !== 'number' || spoken === protocolVersion) return;
  const runner = String(read('version')).slice(0, 64);
  const older = spoken < protocolVersion;
  throw new OutriderError({
    code: 'ProtocolVersionUnsupported',
    message:
      `The runner (release ${runner}) speaks version ${spoken} of the runner protocol, this operator (release ${version}) ` +
      `version ${protocolVersion} only.`,
    action: older
      ? `Upgrade the runner to release ${version}; it keeps its key, its registration and its journal.`
      : `Upgrade the operator to release ${runner}, and its runners after it.`,
    details: { supported: [protocolVersion] },
  });
};

const sessionHeader = (request: FastifyRequest, generation: string): string => {
  const session = request.headers['outrider-session'];
  if (typeof session !== 'string' || session === '') throw badBody('the header outrider-session is missing');
  if (request.headers['outrider-generation'] !== generation) throw generationMismatch();
  return session;
};

/** Everything that needs a key-bound token. The body is parsed only after the token and its proof have been verified. */
export const dispatchRoutes = (app: FastifyInstance, options: RouteOptions): void => {
  const { identity, dispatch, generation } = options;
  const callers = new WeakMap<FastifyRequest, AuthenticatedRunner>();
  app.addHook('onRequest', async (request) => {
    callers.set(request, await identity.authenticate(proofOf(request)));
  });
  const caller = (request: FastifyRequest): AuthenticatedRunner => {
    const runner = callers.get(request);
    if (!runner) throw new Error('a runner route was reached without authentication');
    return runner;
  };

  app.post<{ Body: SessionRequest }>(
    paths.session,
    { schema: { body: SessionRequest }, preValidation: checkVersion },
    async (request) => dispatch.openSession(caller(request), request.body),
  );
  app.post<{ Body: PollRequest }>(paths.poll, { schema: { body: PollRequest } }, (request, reply) =>
    answerPoll({ request, reply, polls: options.polls }, (signal) =>
      dispatch.poll(caller(request), request.body, signal),
    ),
  );
  app.post<{ Body: AcceptRequest }>(paths.accept, { schema: { body: AcceptRequest } }, async (request) =>
    dispatch.accept(caller(request), request.body),
  );
  app.post<{ Body: ReportsRequest }>(paths.reports, { schema: { body: ReportsRequest } }, async (request) =>
    dispatch.report(caller(request), request.body),
  );
  app.post<{ Body: RecoveryRequest }>(
    paths.recovery,
    { schema: { body: RecoveryRequest } },
    async (request) => dispatch.recover(caller(request), request.body),
  );
  app.post<{ Body: HostKeyRequest }>(
    paths.hostKeys,
    { schema: { body: HostKeyRequest }, bodyLimit: smallBody },
    async (request) => dispatch.learnHostKey(caller(request), request.body),
  );
  app.post<{ Body: CloseRequest }>(paths.close, { schema: { body: CloseRequest } }, async (request) => {
    await dispatch.closeSession(caller(request), request.body);
    return {};
  });
  app.post<{ Body: unknown }>(paths.logs, async (request) => {
    const { body } = request;
    if (!Array.isArray(body)) throw badBody(`logs are uploaded as ${logBatchType}`);
    const chunks: LogChunk[] = body;
    return dispatch.logs(caller(request), sessionHeader(request, generation()), chunks);
  });
  app.post<{ Body: unknown }>(paths.credentials, { bodyLimit: smallBody }, async (request) => {
    if (typeof request.body !== 'string') throw badBody('credentials are asked for as application/jose');
    return identity.credentials(caller(request), request.body);
  });
};
