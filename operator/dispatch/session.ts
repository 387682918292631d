import type { Cancel, Offer, PollRequest } from '@outrider/protocol';
import type { Speaker } from '../ledger/ledger.ts';
import type { Millis, SessionHello } from '../ledger/records.ts';
import type { AuthenticatedRunner } from './contract.ts';
import type { Capability } from './eligibility.ts';

/** A poll that is held open. `wake` answers it with whatever the session has for the runner; only the first call counts. */
export interface HeldPoll {
  wake(): void;
  /** Answers it with nothing: a newer poll takes its place. */
  drop(): void;
  /** Answers it with an error instead: superseded, revoked. */
  fail(error: Error): void;
}

/** One live session of one key. An unreplicated operator loses it with its process: the runner then opens a new one. */
export interface Session {
  readonly speaker: Speaker;
  readonly runner: AuthenticatedRunner;
  readonly hello: SessionHello;
  /** What narrows its tags since registration: what its token permitted and what it asked for; null is no limit. */
  readonly limits: readonly (readonly string[] | null)[];
  capability: Capability;
  capacity: number;
  load: number;
  draining: boolean;
  closed: boolean;
  lastContact: Millis;
  /** Runner's clock minus ours, as of the last poll. */
  skewMs: number;
  selfReported: readonly string[];
  poll: HeldPoll | undefined;
  /** Another replica of the operator held a poll of it when it last told. */
  pollElsewhere: boolean;
  /** Offers that are committed and not yet sent. */
  offers: Offer[];
  /** Cancellations to send, by attempt; they stay until the attempt has ended. */
  readonly cancels: Map<string, Cancel>;
  /** Cancellations that the open poll need not be answered for: they were sent once. */
  readonly cancelsSent: Set<string>;
  /** How many polls in a row did not list the attempt as held. */
  readonly unlisted: Map<string, number>;
}

/** Beyond this difference of the clocks a runner is Degraded. */
const maxSkewMs = 30_000;

export const degradedReasons = (session: Session): string[] => {
  const reasons = [...session.selfReported];
  if (Math.abs(session.skewMs) > maxSkewMs)
    reasons.push(`its clock is ${Math.round(session.skewMs / 1000)} s off the operator's`);
  return reasons;
};

export const newSession = (
  runner: AuthenticatedRunner,
  hello: SessionHello,
  at: { session: string; now: Millis; capability: Capability; limits: Session['limits'] },
): Session => ({
  speaker: { clientId: runner.clientId, runnerName: runner.name, session: at.session },
  runner,
  hello,
  limits: at.limits,
  capability: at.capability,
  capacity: hello.capacity,
  load: 0,
  draining: false,
  closed: false,
  lastContact: at.now,
  skewMs: 0,
  selfReported: [],
  poll: undefined,
  pollElsewhere: false,
  offers: [],
  cancels: new Map(),
  cancelsSent: new Set(),
  unlisted: new Map(),
});

/** What its status shows of what polls say. */
const shown = (session: Session): string =>
  `${session.draining} ${session.closed} ${session.load} ${session.capacity} ${degradedReasons(session).join('\n')}`;

/** What a poll says of the runner itself. True when something that its status shows has changed. */
export const noteContact = (session: Session, request: PollRequest, now: Millis): boolean => {
  const before = shown(session);
  session.lastContact = now;
  session.closed = false;
  session.pollElsewhere = false;
  session.load = request.load;
  session.capacity = request.capacity;
  session.draining = request.draining ?? false;
  session.skewMs = Date.parse(request.now) - now;
  session.selfReported = request.degraded ?? [];
  return before !== shown(session);
};
