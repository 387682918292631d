import type { AddressInfo } from 'node:net';
import helmet from '@fastify/helmet';
import rateLimit from '@fastify/rate-limit';
import swagger from '@fastify/swagger';
import { portalPaths } from '@outrider/portal';
import Fastify from 'fastify';
import type { AccessReview, PortalIdentity, RunnerIdentity } from '../identity/contract.ts';
import { answerErrors } from '../http/errors.ts';
import { createHostCheck } from '../http/proof.ts';
import type { Logger } from '../kube/logger.ts';
import { createGuard, withNonce } from './guard.ts';
import { logRoutes } from './log-routes.ts';
import type { Sources } from './reader.ts';
import { runnerRoutes, runRoutes, tokenRoute, type RouteOptions } from './routes.ts';

export interface PortalApiOptions {
  readonly host: string;
  /** 0 picks a free one. */
  readonly port: number;
  readonly identity: PortalIdentity;
  readonly runnerIdentity: RunnerIdentity;
  readonly access: AccessReview;
  readonly sources: Sources;
  readonly runnerApiUrl: string;
  readonly operatorNamespace: string;
  readonly logger: Logger;
  readonly now: () => number;
}

export interface PortalApi {
  readonly port: number;
  close(): Promise<void>;
}

/** Per client address and minute; a page or CLI needs a handful. */
const requestsPerMinute = 1200;
/** Nothing that is sent here is larger, and it is read before the caller is known. */
const bodyLimit = 65_536;

/** The portal's REST API over TLS 1.3; OpenAPI at /api/v1/openapi.json. */
export const startPortalApi = async (options: PortalApiOptions): Promise<PortalApi> => {
  const { identity, logger } = options;
  const app = Fastify({
    https: { ...options.runnerIdentity.tls, minVersion: 'TLSv1.3', handshakeTimeout: 10_000 },
    logger: false,
    bodyLimit,
    // For the request alone: whoever sends it byte by byte holds no connection, and answers may stream for hours.
    requestTimeout: 30_000,
    forceCloseConnections: true,
    ajv: { customOptions: { removeAdditional: false, coerceTypes: 'array' } },
  });
  const stopRenewal = options.runnerIdentity.onTlsRenewed((tls) =>
    app.server.setSecureContext({ ...tls, minVersion: 'TLSv1.3' }),
  );
  const stopping = new AbortController();
  answerErrors(app, {
    logger,
    tokenPath: portalPaths.token,
    api: 'portal',
    badRequest: `See ${portalPaths.openapi} for what this call takes.`,
    notFound: `See ${portalPaths.openapi} for what there is.`,
  });
  const checkHost = createHostCheck(() => options.runnerIdentity.tls.cert);
  app.addHook('onRequest', async (request) => checkHost(request));
  await app.register(helmet);
  await app.register(rateLimit, { max: requestsPerMinute, timeWindow: 60_000 });
  await app.register(swagger, {
    openapi: {
      info: {
        title: 'Outrider portal',
        version: 'v1',
        description: 'Runs, logs and runners. Access tokens are bound to a key (DPoP, RFC 9449).',
      },
    },
  });
  app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_, body, done) =>
    done(null, Object.fromEntries(new URLSearchParams(String(body)))),
  );
  app.addHook('onRequest', withNonce(identity));
  const routes: RouteOptions = { ...options, guard: createGuard(identity, options.access) };
  await app.register(async (scope) => {
    tokenRoute(scope, routes);
    runRoutes(scope, routes);
    runnerRoutes(scope, routes);
    logRoutes(scope, {
      sources: options.sources,
      guard: routes.guard,
      now: options.now,
      stopping: stopping.signal,
    });
    scope.get('/api/v1/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  });
  await app.listen({ host: options.host, port: options.port });
  return {
    port: (app.server.address() as AddressInfo).port,
    close: async () => {
      stopRenewal();
      stopping.abort();
      await app.close();
    },
  };
};
