import {
  attemptKey,
  type AttemptRef,
  type Cancel,
  type PollRequest,
  type PollResponse,
  type Settings,
} from '@outrider/protocol';
import type { TaskRecord } from '../ledger/records.ts';
import type { Session } from './session.ts';

/** Attempts whose lease must be written to the ledger now, and those that the runner twice did not list. */
export interface HeldReview {
  readonly renew: readonly TaskRecord[];
  readonly missing: readonly TaskRecord[];
}

const isOpen = (task: TaskRecord): boolean => task.state === 'Claimed' || task.state === 'Running';

/** The runner was not heard of in time, and now vouches for it again: it goes on, however long it may still take. */
const isFoundAgain = (session: Session, task: TaskRecord): boolean =>
  task.state === 'Unknown' && task.session === session.speaker.session;

/**
 * Compares what a poll lists as held with what the ledger gave this session. A lease is written when a third of it is used:
 * no ledger write per poll, and none at all while nothing runs.
 */
export const reviewHeld = (
  session: Session,
  request: PollRequest,
  given: readonly TaskRecord[],
  { now, leaseMs }: { readonly now: number; readonly leaseMs: number },
): HeldReview => {
  const held = new Set(request.held.map(attemptKey));
  const renew: TaskRecord[] = [];
  const missing: TaskRecord[] = [];
  for (const task of given) {
    const key = attemptKey({ task: task.id, epoch: task.epoch });
    if (held.has(key)) {
      session.unlisted.delete(key);
      const due = (task.leaseExpiresAt ?? 0) - now < (leaseMs * 2) / 3;
      if ((isOpen(task) && due) || isFoundAgain(session, task)) renew.push(task);
      continue;
    }
    if (!isOpen(task)) continue;
    const times = (session.unlisted.get(key) ?? 0) + 1;
    session.unlisted.set(key, times);
    if (times >= 2) missing.push(task);
  }
  return { renew, missing };
};

/** What a runner still runs and the ledger no longer holds for it (it was given up as Lost) is to be ended and forgotten. */
export const noteAbandoned = (
  session: Session,
  request: PollRequest,
  isStillItsOwn: (ref: AttemptRef) => boolean,
): void => {
  const held = new Set(request.held.map(attemptKey));
  for (const [key, cancel] of session.cancels) {
    if (cancel.reason !== 'Abandoned' || held.has(key)) continue;
    session.cancels.delete(key);
    session.cancelsSent.delete(key);
  }
  for (const ref of request.held)
    if (!isStillItsOwn(ref)) session.cancels.set(attemptKey(ref), { ...ref, reason: 'Abandoned' });
};

const takeCancels = (session: Session): Cancel[] => {
  for (const key of session.cancels.keys()) session.cancelsSent.add(key);
  return [...session.cancels.values()];
};

const hasNews = (session: Session): boolean =>
  session.offers.length > 0 || [...session.cancels.keys()].some((key) => !session.cancelsSent.has(key));

const takeAll = (session: Session, { now, settings }: HoldOptions): PollResponse => {
  const at = now();
  const offers = session.offers.filter((offer) => Date.parse(offer.expiresAt) > at);
  session.offers = [];
  return { offers, cancels: takeCancels(session), settings };
};

const nothing: PollResponse = { offers: [], cancels: [] };

export interface HoldOptions {
  readonly now: () => number;
  readonly signal: AbortSignal;
  readonly ms: number;
  readonly settings: Settings;
  /** The poll is open and may be woken. */
  readonly onOpen: () => void;
}

/**
 * Holds a poll until the session has news or the time is over. When `signal` aborts (the client is gone) or a newer poll of
 * the session replaces it, it is answered with nothing, so that no offer goes into a dead connection.
 */
export const holdPoll = (session: Session, options: HoldOptions): Promise<PollResponse> =>
  new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      if (session.poll === held) session.poll = undefined;
      clearTimeout(timer);
      options.signal.removeEventListener('abort', drop);
      settle();
    };
    const answer = (): void => finish(() => resolve(takeAll(session, options)));
    const drop = (): void => finish(() => resolve(nothing));
    const held = { wake: answer, drop, fail: (error: Error) => finish(() => reject(error)) };
    const timer = setTimeout(answer, options.ms);
    options.signal.addEventListener('abort', drop, { once: true });
    session.poll?.drop();
    session.poll = held;
    if (options.signal.aborted) drop();
    else if (hasNews(session)) answer();
    else options.onOpen();
  });
