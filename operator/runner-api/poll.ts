import type { FastifyReply, FastifyRequest } from 'fastify';
import type { PollResponse } from '@outrider/protocol';
import { problemOf, toAnswer } from '../http/errors.ts';
import type { OpenPolls } from './open-polls.ts';
import { errorWords } from './words.ts';

/** Proxies and NATs close a connection that is silent for long; a runner takes 15 s of silence for a broken one. */
export const keepaliveMs = 5000;

const nothing: PollResponse = { offers: [], cancels: [] };

export interface PollContext {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly polls: OpenPolls;
}

/** Status and headers go out with the first white space; the JSON object follows when there is one. */
const beginStream = ({ reply }: PollContext): void => {
  const { raw } = reply;
  const headers = reply.getHeaders();
  reply.hijack();
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
};

/** The status has been sent, so what went wrong is said in the answer's own member. */
const lateError = (error: unknown, request: FastifyRequest): PollResponse => {
  const { code, message, action } = problemOf(toAnswer(error, request, errorWords));
  return { ...nothing, error: { code, message, action } };
};

/**
 * Answers a poll. One that is over before the first keepalive byte is an ordinary answer, with its own status; later errors
 * stand in `error`. An ended poll has nothing to say.
 */
export const answerPoll = async (
  context: PollContext,
  poll: (signal: AbortSignal) => Promise<PollResponse>,
): Promise<PollResponse | FastifyReply> => {
  const { request, reply } = context;
  const { raw } = reply;
  let streaming = false;
  const open = context.polls.add({
    onSilence: () => {
      if (!streaming) beginStream(context);
      streaming = true;
      raw.write(' ');
    },
  });
  const { signal } = open.gone;
  raw.once('close', () => {
    if (!raw.writableFinished) open.gone.abort();
  });
  let body: PollResponse;
  try {
    body = await poll(signal);
  } catch (error) {
    if (!streaming && !signal.aborted) throw error;
    body = signal.aborted ? nothing : lateError(error, request);
  } finally {
    open.close();
  }
  if (!streaming) return body;
  raw.end(JSON.stringify(body));
  return reply;
};
