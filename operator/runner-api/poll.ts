import type { FastifyReply, FastifyRequest } from 'fastify';
import type { PollResponse } from '@outrider/protocol';
import { problemOf, toAnswer } from '../http/errors.ts';
import { errorWords } from './words.ts';

/** Proxies and NATs close a connection that is silent for long; a runner takes 15 s of silence for a broken one. */
export const keepaliveMs = 5000;

const nothing: PollResponse = { offers: [], cancels: [] };

export interface PollContext {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal;
  readonly keepaliveMs: number;
}

/** Aborts when the client goes away before its answer, or the server stops. */
const endSignal = ({ reply, stopping }: PollContext): AbortSignal => {
  const gone = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort();
  });
  return AbortSignal.any([gone.signal, stopping]);
};

/** The answer, or what stands for it: an ended poll has nothing to say, and an error is said in its own member. */
const settle = async (
  work: Promise<PollResponse>,
  context: PollContext,
  signal: AbortSignal,
): Promise<PollResponse> => {
  try {
    return await work;
  } catch (error) {
    if (signal.aborted) return nothing;
    const { code, message, action } = problemOf(toAnswer(error, context.request, errorWords));
    return { ...nothing, error: { code, message, action } };
  }
};

/** Status and headers go out at once, a space each few seconds, and the JSON object when there is one. */
const stream = async (context: PollContext, answer: Promise<PollResponse>): Promise<void> => {
  const { reply } = context;
  const { raw } = reply;
  const headers = reply.getHeaders();
  reply.hijack();
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
  raw.write(' ');
  const timer = setInterval(() => raw.write(' '), context.keepaliveMs);
  try {
    const body = await answer;
    raw.end(JSON.stringify(body));
  } finally {
    clearInterval(timer);
  }
};

/**
 * Answers a poll. One that is over before the first keepalive byte is an ordinary answer, with its own status; later errors
 * stand in `error`.
 */
export const answerPoll = async (
  context: PollContext,
  poll: (signal: AbortSignal) => Promise<PollResponse>,
): Promise<PollResponse | FastifyReply> => {
  const signal = endSignal(context);
  const work = poll(signal);
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<'silent'>((resolve) => {
    timer = setTimeout(resolve, context.keepaliveMs, 'silent');
  });
  try {
    const first = await Promise.race([work, silence]);
    if (first !== 'silent') return first;
  } catch (error) {
    if (signal.aborted) return nothing;
    throw error;
  } finally {
    clearTimeout(timer);
  }
  await stream(context, settle(work, context, signal));
  return context.reply;
};
