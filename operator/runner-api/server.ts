import { once } from 'node:events';
import rateLimit from '@fastify/rate-limit';
import Fastify from 'fastify';
import type { Dispatch } from '../dispatch/contract.ts';
import type { RunnerIdentity } from '../identity/contract.ts';
import type { Logger } from '../kube/logger.ts';
import { answerErrors } from '../http/errors.ts';
import { paceHandshakes } from './handshakes.ts';
import { OpenPolls } from './open-polls.ts';
import { keepaliveMs } from './poll.ts';
import { errorWords } from './words.ts';
import { createHostCheck } from '../http/proof.ts';
import { addParsers, dispatchRoutes, identityRoutes, type RouteOptions } from './routes.ts';

/** Longest time that `close` waits for answers that are under way. */
const closeMs = 5000;
const bodyLimit = 1_048_576;
const minVersion = 'TLSv1.3';

export interface RunnerApiOptions {
  readonly identity: RunnerIdentity;
  readonly dispatch: Dispatch;
  /** The ledger's; a restore changes it. */
  readonly generation: () => string;
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly logger: Logger;
  /** Silence in a held poll before a white-space byte is sent. @default 5000 */
  readonly keepaliveMs?: number;
}

export interface RunnerApi {
  readonly url: string;
  readonly port: number;
  /** Answers open polls with nothing, then closes; within 5 s. */
  close(): Promise<void>;
}

const createServer = (options: RunnerApiOptions) =>
  Fastify({
    https: { ...options.identity.tls, minVersion, handshakeTimeout: 10_000 },
    logger: false,
    bodyLimit,
    // Longer than a poll is held, so that a runner's connection outlives its polls.
    keepAliveTimeout: 75_000,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    ajv: {
      customOptions: { removeAdditional: false, coerceTypes: false, useDefaults: false, strict: false },
    },
  });

type Server = ReturnType<typeof createServer>;

const listeningPort = (app: Server): number => {
  const address = app.server.address();
  if (typeof address === 'object' && address !== null) return address.port;
  throw new Error('the runner API has no TCP port');
};

/** A connection that has had its last answer would otherwise be kept alive; one that never ends is cut. */
const closeServer = async (app: Server): Promise<void> => {
  const { server } = app;
  const sweep = setInterval(() => server.closeIdleConnections(), 20);
  const cut = setTimeout(() => server.closeAllConnections(), closeMs);
  try {
    await app.close();
    if (server.listening) await once(server, 'close');
  } finally {
    clearInterval(sweep);
    clearTimeout(cut);
  }
};

/** The runner protocol over HTTPS, TLS 1.3 and HTTP/1.1 only. */
export const startRunnerApi = async (options: RunnerApiOptions): Promise<RunnerApi> => {
  const { identity, host, logger } = options;
  const stopping = new AbortController();
  const app = createServer(options);
  paceHandshakes(app.server);
  const stopRenewal = identity.onTlsRenewed((tls) => app.server.setSecureContext({ ...tls, minVersion }));
  const checkHost = createHostCheck(() => identity.tls.cert);
  answerErrors(app, { logger, ...errorWords });
  addParsers(app);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('dpop-nonce', identity.nonce()).header('cache-control', 'no-store');
    checkHost(request);
  });
  await app.register(rateLimit, { global: false });
  const routes: RouteOptions = {
    ...options,
    polls: new OpenPolls({
      stopping: stopping.signal,
      keepaliveMs: options.keepaliveMs ?? keepaliveMs,
    }),
  };
  await app.register(async (scope) => identityRoutes(scope, routes));
  await app.register(async (scope) => dispatchRoutes(scope, routes));
  await app.listen({ host, port: options.port });
  const port = listeningPort(app);
  return {
    url: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: async () => {
      stopRenewal();
      stopping.abort();
      await closeServer(app);
    },
  };
};
