import type { Cancel, Offer, PollRequest, PollResponse } from '@outrider/protocol';
import type { RunnerApi } from './api.ts';
import type { Attempts } from './attempts.ts';
import type { Leases } from './leases.ts';
import type { Logger } from './log.ts';
import { problemFields } from './log.ts';
import type { OperatorSettings } from './operator-settings.ts';
import { asOutriderError, type Persist } from './persist.ts';
import type { SelfCheck } from './self-check.ts';
import type { Session } from './session.ts';
import { createBackoff, sleep } from './waits.ts';

/** An answer this quick that brings nothing new is followed by a pause, so that no defect elsewhere makes a busy loop. */
const quickMs = 100;

export interface PollLoopOptions {
  readonly api: Pick<RunnerApi, 'poll'>;
  readonly persist: Persist;
  readonly attempts: Attempts;
  /** Slots; no more than are in use while nothing new can be journalled. */
  readonly capacity: () => number;
  readonly draining: () => boolean;
  /**
   * Resolves when the accepts now in flight are answered, or after a second: what was just accepted must not be missing
   * from `held` twice in a row.
   */
  readonly accepting: () => Promise<unknown>;
  readonly selfCheck: SelfCheck;
  readonly leases: Pick<Leases, 'now' | 'renewed'>;
  readonly settings: OperatorSettings;
  readonly offers: (offers: readonly Offer[]) => void;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

export interface PollLoop {
  /** Ends the poll in flight, so that the next one tells the operator what has changed. */
  refresh(): void;
  /** Ends on stop. */
  run(): Promise<void>;
}

/** One poll is always in flight, with free slots or without: it renews the leases and brings offers and cancels. */
export const createPollLoop = (options: PollLoopOptions): PollLoop => {
  const { api, persist, attempts, leases, settings, stop, logger } = options;
  let inFlight = new AbortController();

  const request = (session: Session): PollRequest => {
    const degraded = options.selfCheck.degraded();
    return {
      session: session.session,
      generation: session.generation,
      capacity: options.capacity(),
      load: Math.min(attempts.load, 1000),
      held: attempts.held().slice(0, 1000),
      now: new Date().toISOString(),
      ...(options.draining() ? { draining: true } : {}),
      ...(degraded.length === 0 ? {} : { degraded }),
    };
  };

  /** True when it was new. */
  const cancel = (item: Cancel): boolean => {
    const attempt = attempts.get(item);
    if (attempt === undefined || attempt.stop.signal.aborted || attempt.phase === 'Finished') return false;
    logger.info('asked to stop', { attempt: attempt.key, reason: item.reason });
    attempt.stop.abort(item.reason);
    return true;
  };

  const apply = (response: PollResponse): boolean => {
    settings.apply(response.settings);
    options.offers(response.offers);
    const stopped = response.cancels.map(cancel);
    return response.offers.length > 0 || stopped.includes(true);
  };

  const poll = async (): Promise<PollResponse | undefined> => {
    inFlight = new AbortController();
    const { signal } = inFlight;
    const either = AbortSignal.any([signal, stop]);
    await options.accepting();
    return persist(
      async (session) => {
        const message = request(session);
        const sentAt = leases.now();
        const response = await api.poll(message, either, settings.pollSilenceMs);
        leases.renewed(message.held, sentAt);
        return response;
      },
      () => !either.aborted,
    );
  };

  return {
    refresh: () => inFlight.abort(),
    run: async () => {
      const backoff = createBackoff({ min: 10, max: 5000 });
      while (!stop.aborted) {
        const sent = performance.now();
        let news = false;
        try {
          const response = await poll();
          if (response === undefined) continue;
          news = apply(response);
        } catch (thrown) {
          logger.error('the operator refuses a poll', problemFields(asOutriderError(thrown)));
        }
        if (news || performance.now() - sent > quickMs) backoff.reset();
        else await sleep(backoff.next(), stop);
      }
    },
  };
};
