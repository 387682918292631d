import { OutriderError, toProblem } from '@outrider/protocol';
import { problemFields, type Logger } from './log.ts';
import type { Session, Sessions } from './session.ts';
import { createBackoff, sleep } from './waits.ts';

export type Verdict =
  /** The same call may succeed later: network, 401, 429, 5xx. */
  | 'Retry'
  /** A new session is needed first. */
  | 'Reopen'
  /** Another session of the same key was opened. */
  | 'Superseded'
  /** The runner cannot go on. */
  | 'Fatal'
  /** This call will never succeed. */
  | 'Refused';

const verdicts: Partial<Record<OutriderError['code'], Verdict>> = {
  RunnerRevoked: 'Fatal',
  ProtocolVersionUnsupported: 'Fatal',
  SessionUnknown: 'Reopen',
  GenerationMismatch: 'Reopen',
  SessionSuperseded: 'Superseded',
  OperatorUnreachable: 'Retry',
  CertificateMismatch: 'Retry',
  Unauthenticated: 'Retry',
  TooManyRequests: 'Retry',
  SessionQuarantined: 'Retry',
};

/** Slower than the rate of sessions that a quarantine begins at (12 a minute). */
const quarantineMs = 15_000;

/** What to do about a failed call. */
export const classify = (error: OutriderError): Verdict => {
  const known = verdicts[error.code];
  if (known !== undefined) return known;
  const status = error.details?.['status'];
  // The request did not arrive in time (a machine that was suspended in the middle of it): that is no word on its content.
  if (status === 408) return 'Retry';
  return typeof status === 'number' && status >= 400 && status < 500 ? 'Refused' : 'Retry';
};

export const asOutriderError = (error: unknown): OutriderError =>
  error instanceof OutriderError ? error : new OutriderError(toProblem(error), { cause: error });

/** Milliseconds to wait at least before a failed call is repeated. */
export const retryAfter = (error: OutriderError): number => {
  if (error.code === 'SessionQuarantined') return quarantineMs;
  const value = error.details?.['retryAfterMs'];
  return typeof value === 'number' ? value : 0;
};

export interface Persist {
  /**
   * Repeats `call` until it is answered, with back-off (100 ms doubling to 10 s, full jitter, Retry-After honoured) and in
   * a new session where one is needed. Undefined when the runner stops, or when `wanted` has become false.
   * @throws OutriderError when the answer is a refusal that no repetition changes.
   */
  <T>(call: (session: Session) => Promise<T>, wanted?: () => boolean): Promise<T | undefined>;
}

/** One line when the connection is lost and one when it is back, whichever lane notices first. */
export const createHealthLog = (logger: Logger): { failed(error: OutriderError): void; answered(): void } => {
  let last: string | undefined;
  return {
    failed: (error) => {
      if (last === error.message) return;
      last = error.message;
      logger.warn('a call to the operator failed; it is repeated', problemFields(error));
    },
    answered: () => {
      if (last === undefined) return;
      last = undefined;
      logger.info('the operator answers again');
    },
  };
};

export const createPersist = (options: {
  sessions: Sessions;
  stop: AbortSignal;
  health: ReturnType<typeof createHealthLog>;
}): Persist => {
  const { sessions, stop, health } = options;
  return async (call, wanted = () => true) => {
    const backoff = createBackoff();
    while (!stop.aborted && wanted()) {
      const session = await sessions.current();
      if (session === undefined) return undefined;
      try {
        const answer = await call(session);
        health.answered();
        return answer;
      } catch (thrown) {
        if (stop.aborted || !wanted()) return undefined;
        const error = asOutriderError(thrown);
        if (await sessions.handle(error, session)) continue;
        if (classify(error) === 'Refused') throw error;
        health.failed(error);
        await sleep(Math.max(backoff.next(), retryAfter(error)), stop);
      }
    }
    return undefined;
  };
};
