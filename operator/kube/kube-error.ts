import type { KubeFailure } from './contract.ts';

/** Reasons that are not the API server's: it did not answer at all (`status` 0). */
export type TransportReason = 'Unreachable' | 'Timeout' | 'Aborted' | 'InvalidAnswer';

/**
 * Thrown for every answer of the API server that is not 2xx (`reason` is its own word), and, with status 0 and a
 * TransportReason, when there was none.
 */
export class KubeError extends Error implements KubeFailure {
  override readonly name = 'KubeError';
  readonly status: number;
  readonly reason: string;
  readonly retryAfter?: number;

  constructor(
    failure: { status: number; reason: string; message: string; retryAfter?: number },
    options?: ErrorOptions,
  ) {
    super(failure.message, options);
    this.status = failure.status;
    this.reason = failure.reason;
    if (failure.retryAfter !== undefined) this.retryAfter = failure.retryAfter;
  }
}

export const isKubeError = (error: unknown): error is KubeError => error instanceof KubeError;

/** The object or the path is not there. */
export const isNotFound = (error: unknown): boolean => isKubeError(error) && error.status === 404;

/** Another write came first, or a precondition (uid, resourceVersion) does not hold. */
export const isConflict = (error: unknown): boolean => isKubeError(error) && error.status === 409;

/** The resourceVersion is too old for a watch or a continued list: list again. */
export const isExpired = (error: unknown): boolean => isKubeError(error) && error.status === 410;

/**
 * Whether the same call may succeed later: no answer, server overload, or a token that is being rotated. Refusals
 * of content or permission (400, 403, 404, 422 …) are final.
 */
export const isRetryable = (error: unknown): boolean => {
  if (!isKubeError(error)) return true;
  if (error.status === 0) return error.reason !== 'Aborted';
  return error.status >= 500 || [401, 408, 409, 429].includes(error.status);
};

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {};

const parse = (text: string): Record<string, unknown> => {
  try {
    return record(JSON.parse(text));
  } catch {
    return {};
  }
};

const seconds = (value: unknown): number | undefined => {
  const number = Number(value);
  return value !== undefined && Number.isFinite(number) && number >= 0 ? number : undefined;
};

/** The failure that an answer stands for: a metav1.Status, or whatever a proxy in between has said. */
export const failureFrom = (
  call: string,
  answer: { status: number; text: string; retryAfter?: string | undefined },
): KubeError => {
  const status = parse(answer.text);
  return statusFailure(status, {
    call,
    code: answer.status,
    fallback: answer.text.slice(0, 300),
    retryAfter: seconds(answer.retryAfter),
  });
};

/** The failure in an ERROR event of a watch. */
export const watchFailure = (call: string, object: unknown): KubeError => {
  const status = record(object);
  return statusFailure(status, {
    call,
    code: Number(status['code'] ?? 500),
    fallback: 'watch error',
    retryAfter: undefined,
  });
};

const statusFailure = (
  status: Record<string, unknown>,
  known: { call: string; code: number; fallback: string; retryAfter: number | undefined },
): KubeError => {
  const reason =
    typeof status['reason'] === 'string' && status['reason'] !== '' ? status['reason'] : `Http${known.code}`;
  const message = typeof status['message'] === 'string' ? status['message'] : known.fallback;
  const retryAfter = known.retryAfter ?? seconds(record(status['details'])['retryAfterSeconds']);
  return new KubeError({
    status: known.code,
    reason,
    message: `The API server refused ${known.call}: ${message} (${reason})`,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
};
