import {
  OutriderError,
  type InventoryItem,
  type SessionRequest,
  type SessionResponse,
} from '@outrider/protocol';
import type { RunnerApi } from './api.ts';
import type { Logger } from './log.ts';
import { asOutriderError, classify, retryAfter, type createHealthLog } from './persist.ts';
import { createBackoff, sleep } from './waits.ts';

export type Session = Pick<SessionResponse, 'session' | 'generation'>;

export interface Sessions {
  /** Waits while a session is being opened. Undefined once the runner stops. */
  current(): Promise<Session | undefined>;
  /** True when the failure was one of the session and the call may be repeated under `current()`. */
  handle(error: OutriderError, used: Session): Promise<boolean>;
  /** Opens a new session: every attempt held is judged anew. */
  reopen(): Promise<Session | undefined>;
}

export interface SessionOptions {
  readonly api: Pick<RunnerApi, 'openSession'>;
  /** All of a session request but the inventory, which is taken from the journal at each try. */
  readonly request: Omit<SessionRequest, 'inventory'>;
  readonly inventory: () => InventoryItem[];
  /** Applies the operator's decisions; called before anything is sent under the new session. */
  readonly opened: (response: SessionResponse, sentAt: number) => void;
  /** Milliseconds of `Leases.now`. */
  readonly now: () => number;
  /** The runner must end. */
  readonly fatal: (error: OutriderError) => void;
  readonly stop: AbortSignal;
  readonly health: ReturnType<typeof createHealthLog>;
  readonly logger: Logger;
}

const superseded = (cause: OutriderError): OutriderError =>
  new OutriderError(
    {
      code: 'SessionSuperseded',
      message: 'Another process has opened a session with the key of this runner, so this one ends.',
      action:
        'Run one process per state folder. A copied machine or volume needs a key of its own: `outrider-runner register --new-key` there.',
    },
    { cause },
  );

/** One session at a time. A new one hands in the journal's inventory and learns what to go on with. */
export const createSessions = (options: SessionOptions): Sessions => {
  const { api, stop, logger, health } = options;
  let state: Session | undefined;
  let opening: Promise<Session | undefined> | undefined;

  const tryOpen = async (): Promise<Session> => {
    const sentAt = options.now();
    const response = await api.openSession({ ...options.request, inventory: options.inventory() }, stop);
    options.opened(response, sentAt);
    health.answered();
    logger.info('session opened', { session: response.session });
    return { session: response.session, generation: response.generation };
  };

  const open = async (): Promise<Session | undefined> => {
    const backoff = createBackoff();
    while (!stop.aborted) {
      try {
        return await tryOpen();
      } catch (thrown) {
        if (stop.aborted) return undefined;
        const error = asOutriderError(thrown);
        if (classify(error) === 'Fatal') {
          options.fatal(error);
          return undefined;
        }
        health.failed(error);
        await sleep(Math.max(backoff.next(), retryAfter(error)), stop);
      }
    }
    return undefined;
  };

  const reopen = (): Promise<Session | undefined> => {
    opening ??= open()
      .then((session) => (state = session))
      .finally(() => {
        opening = undefined;
      });
    return opening;
  };

  const current = async (): Promise<Session | undefined> => {
    if (stop.aborted) return undefined;
    if (opening !== undefined) return opening;
    return state ?? reopen();
  };

  return {
    current,
    reopen,
    handle: async (error, used) => {
      const verdict = classify(error);
      if (verdict === 'Fatal') {
        options.fatal(error);
        return true;
      }
      if (verdict !== 'Reopen' && verdict !== 'Superseded') return false;
      // Answers to calls of an older session of our own arrive late: only the current one's say anything.
      const isCurrent = opening === undefined && state?.session === used.session;
      if (!isCurrent) await current();
      else if (verdict === 'Superseded') options.fatal(superseded(error));
      else await reopen();
      return true;
    },
  };
};
