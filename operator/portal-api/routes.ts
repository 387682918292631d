import {
  RegistrationTokenRequest,
  RegistrationTokenResponse,
  RunDetails,
  RunList,
  RunnerList,
} from '@outrider/portal';
import { OutriderError } from '@outrider/protocol';
import { Closed, Integer, Maybe, Text, type Static } from '@outrider/schema';
import type { FastifyInstance } from 'fastify';
import type { PortalIdentity, RunnerIdentity } from '../identity/contract.ts';
import { localElsewhere } from './errors.ts';
import { proofOf } from '../http/proof.ts';
import type { Guard } from './guard.ts';
import { findRun, listRuns, readDetails, type Sources } from './reader.ts';
import { runnerView, runView } from './views.ts';

const NamespaceParams = Closed({ namespace: Text({ maxLength: 63 }) });
type NamespaceParams = Static<typeof NamespaceParams>;
const RunParams = Closed({ namespace: Text({ maxLength: 63 }), name: Text({ maxLength: 253 }) });
type RunParams = Static<typeof RunParams>;
const RunsQuery = Closed({
  workflow: Maybe(Text({ description: 'Only runs of this workflow.', maxLength: 253 })),
  limit: Maybe(Integer({ description: 'Newest first; 50 when absent.', minimum: 1, maximum: 500 })),
});
type RunsQuery = Static<typeof RunsQuery>;

export interface RouteOptions {
  readonly sources: Sources;
  readonly guard: Guard;
  readonly identity: PortalIdentity;
  readonly runnerIdentity: Pick<RunnerIdentity, 'createRegistrationToken'>;
  /** What registration tokens lead runners to. */
  readonly runnerApiUrl: string;
  /** The only namespace in which local runners may be registered. */
  readonly operatorNamespace: string;
}

export const runRoutes = (app: FastifyInstance, { sources, guard }: RouteOptions): void => {
  app.get<{ Params: NamespaceParams; Querystring: RunsQuery }>(
    '/api/v1/namespaces/:namespace/workflowruns',
    {
      schema: {
        summary: 'Runs of a namespace, newest first',
        params: NamespaceParams,
        querystring: RunsQuery,
        response: { 200: RunList },
      },
    },
    async (request) => {
      const { namespace } = request.params;
      await guard.require(request, { verb: 'list', resource: 'workflowruns', namespace });
      const { workflow, limit = 50 } = request.query;
      const runs = await listRuns(sources, {
        namespace,
        limit,
        ...(workflow === undefined ? {} : { workflow }),
      });
      return { items: runs.map(({ run, ledger }) => runView(run, ledger)) };
    },
  );

  app.get<{ Params: RunParams }>(
    '/api/v1/namespaces/:namespace/workflowruns/:name',
    {
      schema: { summary: 'One run with all of its tasks', params: RunParams, response: { 200: RunDetails } },
    },
    async (request) => {
      const { namespace, name } = request.params;
      await guard.require(request, { verb: 'get', resource: 'workflowruns', namespace, name });
      return readDetails(sources, findRun(sources, namespace, name));
    },
  );
};

export const runnerRoutes = (app: FastifyInstance, options: RouteOptions): void => {
  const { sources, guard } = options;
  app.get<{ Params: NamespaceParams }>(
    '/api/v1/namespaces/:namespace/runners',
    {
      schema: {
        summary: 'Runners with their exact live figures',
        params: NamespaceParams,
        response: { 200: RunnerList },
      },
    },
    async (request) => {
      const { namespace } = request.params;
      await guard.require(request, { verb: 'list', resource: 'runners', namespace });
      const runners = [...sources.runners.list(namespace)].sort((a, b) =>
        a.metadata.name.localeCompare(b.metadata.name),
      );
      return {
        items: runners.map((runner) =>
          runnerView(runner, sources.directory.get(namespace, runner.metadata.name)),
        ),
      };
    },
  );

  app.post<{ Params: NamespaceParams; Body: RegistrationTokenRequest }>(
    '/api/v1/namespaces/:namespace/registrationtokens',
    {
      schema: {
        summary: 'Make a single-use token with which a runner registers',
        params: NamespaceParams,
        body: RegistrationTokenRequest,
        response: { 201: RegistrationTokenResponse },
      },
    },
    async (request, reply) => {
      const { namespace } = request.params;
      const user = await guard.require(request, {
        verb: 'create',
        resource: 'runners',
        subresource: 'registrationtoken',
        namespace,
      });
      const { tags, local = false, ttlSeconds = 3600 } = request.body;
      if (local && namespace !== options.operatorNamespace)
        throw localElsewhere(namespace, options.operatorNamespace);
      const { token, expiresAt } = await options.runnerIdentity.createRegistrationToken({
        namespace,
        tags: tags ?? null,
        local,
        createdBy: user.username,
        ttlMs: ttlSeconds * 1000,
      });
      return reply
        .code(201)
        .send({ token, expiresAt: new Date(expiresAt).toISOString(), url: options.runnerApiUrl });
    },
  );
};

/** The token endpoint: a Login resource for an access token (form encoded, RFC 6749). */
export const tokenRoute = (app: FastifyInstance, { identity }: RouteOptions): void => {
  app.post<{ Body: Record<string, string> }>(
    '/api/v1/token',
    { schema: { summary: 'Exchange a Login for an access token' } },
    async (request, reply) => {
      if (typeof request.body !== 'object' || request.body === null)
        throw new OutriderError({
          code: 'BadRequest',
          message: 'The token request has no form.',
          action: 'Send application/x-www-form-urlencoded.',
        });
      const { token } = await identity.issueToken(request.body, proofOf(request));
      return reply.send(token);
    },
  );
};
