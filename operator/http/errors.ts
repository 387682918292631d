import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { OutriderError, errorStatus, type ErrorCode, type Problem } from '@outrider/protocol';
import { oauthWord } from '../identity/oauth-error.ts';
import type { Logger } from '../kube/logger.ts';
import { pathOf } from './proof.ts';

/** What differs between the APIs that answer with problems. */
export interface ErrorWords {
  readonly logger: Logger;
  /** The token endpoint, whose refusals have the members of RFC 6749 too. */
  readonly tokenPath: string;
  /** Such as `runner API`. */
  readonly api: string;
  /** What to do about a request that cannot be understood. */
  readonly badRequest: string;
  /** What to do about a path that does not exist. */
  readonly notFound: string;
}

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;

/** Fastify's own refusals, by their status. */
const codeOf: Readonly<Record<number, ErrorCode>> = {
  413: 'PayloadTooLarge',
  429: 'TooManyRequests',
  503: 'Unavailable',
};

const refused = (error: unknown, status: number, action: string): OutriderError =>
  new OutriderError(
    {
      code: codeOf[status] ?? 'BadRequest',
      message: `The request was refused: ${error instanceof Error ? error.message : String(error)}.`,
      action,
    },
    { cause: error },
  );

/** Never the text of an unexpected exception: whoever asks here may be a stranger. The operator's log has it. */
const internal = (error: unknown, request: FastifyRequest): OutriderError =>
  new OutriderError(
    {
      code: 'Internal',
      message: `The operator failed at ${request.method} ${pathOf(request)} (request ${request.id}).`,
      action: `Try again. If this stays, report it with the lines of the operator's log that name the request ${request.id}.`,
    },
    { cause: error },
  );

/** What any exception becomes for whoever sent the request. */
export const toAnswer = (
  error: unknown,
  request: FastifyRequest,
  words: Pick<ErrorWords, 'badRequest'>,
): OutriderError => {
  if (error instanceof OutriderError) return error;
  const status = member(error, 'statusCode');
  if (typeof status === 'number' && (status < 500 || status === 503))
    return refused(error, status, words.badRequest);
  return internal(error, request);
};

/** The problem without the words for OAuth clients. */
export const problemOf = (error: OutriderError): Problem => {
  const { code, message, action } = error;
  const details = Object.entries(error.details ?? {}).filter(([name]) => name !== 'oauthError');
  return { code, message, action, ...(details.length === 0 ? {} : { details: Object.fromEntries(details) }) };
};

/** RFC 6749 section 5.2 asks for 400 unless the client itself is refused. */
const tokenStatus = (error: OutriderError, word: string): number =>
  error.code === 'Unauthenticated' && word !== 'invalid_client' ? 400 : error.status;

const sendTokenError = (reply: FastifyReply, error: OutriderError, word: string): FastifyReply =>
  reply
    .code(tokenStatus(error, word))
    .send({ error: word, error_description: `${error.message} ${error.action}`, ...problemOf(error) });

const sendError = (error: OutriderError, reply: FastifyReply, tokenPath: string): FastifyReply => {
  const { request } = reply;
  // A stream that fails before its first byte has given the answer its own type.
  reply.type('application/json; charset=utf-8');
  const word = oauthWord(error);
  if (word !== undefined && pathOf(request) === tokenPath) return sendTokenError(reply, error, word);
  const status = errorStatus[error.code] || 500;
  if (status === 401)
    reply.header('www-authenticate', `DPoP algs="EdDSA"${word === undefined ? '' : `, error="${word}"`}`);
  return reply.code(status).send(problemOf(error));
};

const logError = (error: OutriderError, request: FastifyRequest, { logger, api }: ErrorWords): void => {
  const fields = {
    api,
    request: request.id,
    method: request.method,
    path: pathOf(request),
    from: request.ip,
    code: error.code,
  };
  if (error.status >= 500) logger.error({ ...fields, err: error.cause ?? error }, 'request failed');
  else logger.debug({ ...fields, message: error.message }, 'request refused');
};

/** Every refusal is a Problem; the token endpoint adds the members of RFC 6749. */
export const answerErrors = (app: FastifyInstance, words: ErrorWords): void => {
  app.setErrorHandler((error, request, reply) => {
    const answer = toAnswer(error, request, words);
    logError(answer, request, words);
    return sendError(answer, reply, words.tokenPath);
  });
  app.setNotFoundHandler((request, reply) =>
    sendError(
      new OutriderError({
        code: 'NotFound',
        message: `The ${words.api} has no ${request.method} ${pathOf(request)}.`,
        action: words.notFound,
      }),
      reply,
      words.tokenPath,
    ),
  );
};
