import { attemptKey, type AttemptAnswer, type Offer, type OutriderError } from '@outrider/protocol';
import type { ExecutionHost } from '../execution/contract.ts';
import type { Journal } from '../journal/contract.ts';
import type { RunnerApi } from './api.ts';
import { stopReason, type Attempt, type Attempts } from './attempts.ts';
import type { Leases } from './leases.ts';
import { problemFields, type Logger } from './log.ts';
import { asOutriderError, type Persist } from './persist.ts';
import type { Reports } from './report-loop.ts';
import type { Session } from './session.ts';
import type { Starter } from './start.ts';
import { sleep } from './waits.ts';

export interface AcceptOptions {
  readonly api: Pick<RunnerApi, 'accept'>;
  readonly persist: Persist;
  /** The session whose generation is journalled; undefined when the runner stops. */
  readonly session: () => Promise<Session | undefined>;
  readonly journal: Journal;
  readonly attempts: Attempts;
  readonly reports: Reports;
  readonly starter: Starter;
  readonly host: Pick<ExecutionHost, 'prepare'>;
  readonly leases: Pick<Leases, 'now' | 'renewed'>;
  /** The disk failed in a way after which the journal takes nothing more. */
  readonly failed: (error: OutriderError) => void;
  /** False while draining, and while the journal has no room. */
  readonly taking: () => boolean;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

export interface Acceptor {
  /** Takes offers as far as there are slots; the same offer again changes nothing. */
  take(offers: readonly Offer[]): void;
  /** Resolves when the accepts now in flight are answered, at the latest after a second. */
  answered(): Promise<unknown>;
}

const answerMs = 1000;

/** Offer → journal (fsync) → accept → only what the operator has recorded starts. */
export const createAcceptor = (options: AcceptOptions): Acceptor => {
  const { api, persist, journal, attempts, reports, starter, leases, stop, logger } = options;

  const inFlight = new Set<Promise<void>>();

  const decline = (offer: Offer): void => {
    // Unanswered it would come back in 10 s by itself; the answer only shortens that.
    reports.send({ task: offer.task, epoch: offer.epoch, kind: 'Released' }).catch(() => undefined);
  };

  const admit = (offer: Offer): Attempt | undefined => {
    if (attempts.get(offer) !== undefined) return undefined;
    if (options.taking() && attempts.free > 0) {
      options.host.prepare();
      return attempts.add(offer, offer.spec, 'Accepting');
    }
    decline(offer);
    return undefined;
  };

  const journalOne = async (attempt: Attempt, generation: string): Promise<Attempt | undefined> => {
    try {
      await journal.accepted(attempt.ref, { generation, spec: attempt.spec });
      return attempt;
    } catch (thrown) {
      const error = asOutriderError(thrown);
      logger.warn('an offer was declined', { attempt: attempt.key, ...problemFields(error) });
      if (error.code === 'JournalFailed') options.failed(error);
      attempts.remove(attempt);
      await reports.send({ ...attempt.ref, kind: 'Released' });
      return undefined;
    }
  };

  const drop = async (attempt: Attempt, reason: string): Promise<void> => {
    logger.info('an offer was not taken', { attempt: attempt.key, reason });
    attempts.remove(attempt);
    await journal.forget(attempt.ref);
  };

  const settle = async (attempt: Attempt, answer: AttemptAnswer | undefined): Promise<void> => {
    if (answer === undefined) return drop(attempt, 'the operator did not answer for it');
    if (answer.status === 'Refused') return drop(attempt, answer.error?.message ?? 'refused');
    return starter.start(attempt);
  };

  /** Calls `answered` as soon as the operator has spoken; resolves when what started has ended. */
  const accept = async (admitted: readonly Attempt[], answered: () => void): Promise<void> => {
    const session = await options.session();
    if (session === undefined) return;
    const journalled = (
      await Promise.all(admitted.map((attempt) => journalOne(attempt, session.generation)))
    ).filter((attempt) => attempt !== undefined);
    /** Those which a new session's inventory has not told us to abandon meanwhile. */
    const wanted = (): Attempt[] => journalled.filter((attempt) => stopReason(attempt) !== 'Abandoned');
    const answer = await persist(
      async (current) => {
        const { session: id, generation } = current;
        const refs = wanted().map(({ ref }) => ref);
        const sentAt = leases.now();
        const response = await api.accept({ session: id, generation, attempts: refs }, stop);
        leases.renewed(refs, sentAt);
        return response;
      },
      () => wanted().length > 0,
    );
    for (const attempt of answer === undefined ? [] : wanted()) attempts.enter(attempt, 'Starting');
    answered();
    const abandoned = journalled.filter((attempt) => stopReason(attempt) === 'Abandoned');
    await Promise.all(abandoned.map((attempt) => drop(attempt, 'abandoned')));
    if (answer === undefined) return;
    const answers = new Map(answer.attempts.map((item) => [attemptKey(item), item]));
    await Promise.all(wanted().map((attempt) => settle(attempt, answers.get(attempt.key))));
  };

  return {
    take: (offers) => {
      const admitted = offers.map(admit).filter((attempt) => attempt !== undefined);
      if (admitted.length === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      inFlight.add(promise);
      accept(admitted, resolve)
        .catch(async (thrown: unknown) => {
          logger.error('offers could not be accepted', problemFields(asOutriderError(thrown)));
          const left = admitted.filter((attempt) => attempt.phase === 'Accepting');
          await Promise.allSettled(left.map((attempt) => starter.release(attempt)));
        })
        .finally(resolve);
      void promise.then(() => inFlight.delete(promise));
    },
    answered: () =>
      inFlight.size === 0 ? Promise.resolve() : Promise.race([Promise.all(inFlight), sleep(answerMs, stop)]),
  };
};
