import { errorStatus, OutriderError, type ErrorCode } from '@outrider/protocol';
import type { HttpResponse } from './exchange.ts';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(errorStatus, value);

const codeOfStatus: Readonly<Record<number, ErrorCode>> = {
  400: 'BadRequest',
  401: 'Unauthenticated',
  403: 'Forbidden',
  404: 'NotFound',
  409: 'Conflict',
  413: 'PayloadTooLarge',
  429: 'TooManyRequests',
  502: 'Unavailable',
  503: 'Unavailable',
  504: 'Unavailable',
};

/** Problems reach the runner as HTTP answers, or inside a poll's answer whose status was sent long before. */
export const problemToError = (value: unknown, status: number): OutriderError => {
  const problem = isObject(value) && isObject(value['error']) ? value['error'] : value;
  const { code, action, ...words } = isObject(problem) ? problem : {};
  // RFC 6749 says error_description where the rest of this protocol says message.
  const message = words['message'] ?? words['error_description'];
  return new OutriderError({
    code: isCode(code) ? code : (codeOfStatus[status] ?? 'Internal'),
    message: typeof message === 'string' ? message : `The operator answered with status ${status}.`,
    action: typeof action === 'string' ? action : "Look at the operator's log of this moment.",
    details: { status, ...(typeof code === 'string' ? { code } : {}) },
  });
};

export const header = (response: HttpResponse, name: string): string | undefined => {
  const value = response.headers[name];
  return Array.isArray(value) ? value[0] : value;
};

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

/** Seconds of Retry-After as milliseconds; 0 without one. */
const retryAfterMs = (response: HttpResponse): number => {
  const seconds = Number(header(response, 'retry-after') ?? 0);
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 60) * 1000 : 0;
};

/** @throws OutriderError for every answer that is not 2xx, with details {status, retryAfterMs}. */
export const bodyOf = (response: HttpResponse): unknown => {
  const body = parse(response.text);
  if (response.status >= 200 && response.status < 300) return body;
  const error = problemToError(body, response.status);
  throw new OutriderError({
    ...error.toJSON(),
    details: { ...error.details, retryAfterMs: retryAfterMs(response) },
  });
};

type Kind = 'string' | 'list' | 'object';

/** Fields beyond those known are let through: a newer operator may say more. */
export const objectWith = <T>(body: unknown, shape: Partial<Record<keyof T & string, Kind>>): T => {
  const wrong = (what: string): OutriderError =>
    new OutriderError({
      code: 'Internal',
      message: `The answer is not one of an Outrider operator: ${what}.`,
      action:
        'Check that the URL is that of the runner API (port 8443), and that no proxy answers in its place.',
    });
  if (!isObject(body)) throw wrong('it is not a JSON object');
  for (const [name, kind] of Object.entries<Kind | undefined>(shape)) {
    const value = body[name];
    const fits =
      kind === 'list'
        ? Array.isArray(value)
        : kind === 'object'
          ? isObject(value)
          : typeof value === 'string';
    if (!fits) throw wrong(`${name} is missing`);
  }
  return body as T;
};
