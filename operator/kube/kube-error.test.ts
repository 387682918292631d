import { expect, test } from 'vitest';
import {
  failureFrom,
  isConflict,
  isExpired,
  isNotFound,
  isRetryable,
  KubeError,
  watchFailure,
} from './kube-error.ts';

test('a Status becomes its reason and message', () => {
  const text = JSON.stringify({
    kind: 'Status',
    code: 404,
    reason: 'NotFound',
    message: 'runners "a" not found',
  });
  const failure = failureFrom('GET /x', { status: 404, text });
  expect(failure).toMatchObject({
    status: 404,
    reason: 'NotFound',
    message: 'The API server refused GET /x: runners "a" not found (NotFound)',
  });
  expect(isNotFound(failure)).toBe(true);
  expect(isRetryable(failure)).toBe(false);
});

test('an answer that is no Status, as from a proxy, keeps its status and words', () => {
  const failure = failureFrom('GET /x', { status: 502, text: '<h1>Bad Gateway</h1>' });
  expect(failure).toMatchObject({
    status: 502,
    reason: 'Http502',
    message: 'The API server refused GET /x: <h1>Bad Gateway</h1> (Http502)',
  });
  expect(isRetryable(failure)).toBe(true);
});

test('Retry-After is taken from the header, else from the details', () => {
  expect(failureFrom('GET /x', { status: 429, text: '', retryAfter: '7' }).retryAfter).toBe(7);
  expect(failureFrom('GET /x', { status: 429, text: '{"details":{"retryAfterSeconds":3}}' }).retryAfter).toBe(
    3,
  );
  expect(
    failureFrom('GET /x', { status: 429, text: '', retryAfter: 'Wed, 21 Oct 2026 07:28:00 GMT' }).retryAfter,
  ).toBeUndefined();
});

test('the Status in a watch says that history is gone', () => {
  const failure = watchFailure('watch of runners', {
    code: 410,
    reason: 'Expired',
    message: 'too old resource version',
  });
  expect(isExpired(failure)).toBe(true);
  expect(failure.message).toBe('The API server refused watch of runners: too old resource version (Expired)');
});

test.each([
  [0, 'Unreachable', true],
  [0, 'Timeout', true],
  [0, 'Aborted', false],
  [401, 'Unauthorized', true],
  [403, 'Forbidden', false],
  [409, 'Conflict', true],
  [422, 'Invalid', false],
  [500, 'InternalError', true],
])('status %i (%s): the same call may succeed later: %s', (status, reason, retryable) => {
  const error = new KubeError({ status, reason, message: '' });
  expect(isRetryable(error)).toBe(retryable);
  expect(isConflict(error)).toBe(status === 409);
});
