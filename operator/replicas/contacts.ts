import { isDeepStrictEqual } from 'node:util';
import { degradedReasons, type Session } from '../dispatch/session.ts';
import type { Sessions } from '../dispatch/sessions.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RunnerContact } from '../ledger/records.ts';
import type { PeerSessions } from './peer-sessions.ts';

export interface ContactsOptions {
  readonly ledger: Pick<Ledger, 'noteContacts' | 'listContacts'>;
  readonly sessions: Sessions;
  readonly peers: PeerSessions;
  /** Silence after which a runner is no longer Online. */
  readonly onlineMs: number;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

export interface Contacts {
  /** Tells the other replicas of the runners heard here, and takes in what they tell. */
  exchange(): Promise<void>;
  stop(): Promise<void>;
}

/** A ninth of the time in which silence begins to count, 5 s by default. */
const exchangeMs = (onlineMs: number): number => Math.min(5000, Math.max(500, onlineMs / 9));
/** Sessions taken up side by side: a replica that starts meets all runners of the others. */
const atOnce = 32;

const contactOf = (session: Session, now: number): RunnerContact => ({
  clientId: session.runner.clientId,
  session: session.speaker.session,
  at: session.poll === undefined ? session.lastContact : now,
  load: session.load,
  capacity: session.capacity,
  draining: session.draining,
  closed: session.closed,
  polling: session.poll !== undefined,
  skewMs: session.skewMs,
  degraded: session.selfReported,
});

const factsOf = ({ at: _at, ...facts }: RunnerContact): object => facts;

/** What a runner's status shows of it. */
const shownOf = (session: Session): readonly unknown[] => [
  session.load,
  session.capacity,
  session.draining,
  session.closed,
  session.pollElsewhere,
  ...degradedReasons(session),
];

const takeIn = (session: Session, contact: RunnerContact): void => {
  session.lastContact = contact.at;
  session.load = contact.load;
  session.capacity = contact.capacity;
  session.draining = contact.draining;
  session.closed = contact.closed;
  session.pollElsewhere = contact.polling;
  session.skewMs = contact.skewMs;
  session.selfReported = contact.degraded;
};

/**
 * What the replicas know of runners, by way of the ledger: every 5 s each writes whom it heard of, in one batch, and reads
 * the others'. A poll that merely stays open is written three times within the time in which silence begins to count.
 */
export const startContacts = (options: ContactsOptions): Contacts => {
  const { ledger, sessions, peers, onlineMs, now } = options;
  /** By key, what is in the ledger as far as this replica knows, whoever wrote it. */
  const known = new Map<string, RunnerContact>();

  const isNews = (contact: RunnerContact): boolean => {
    const before = known.get(contact.clientId);
    if (before === undefined) return true;
    if (contact.at <= before.at) return false;
    return contact.at - before.at >= onlineMs / 3 || !isDeepStrictEqual(factsOf(before), factsOf(contact));
  };

  const tell = async (): Promise<void> => {
    const at = now();
    const news = sessions
      .all()
      .map((session) => contactOf(session, at))
      .filter(isNews);
    if (news.length === 0) return;
    await ledger.noteContacts(news);
    for (const contact of news) known.set(contact.clientId, contact);
  };

  /** Who has been silent for so long that silence counts is taken up when it comes back. */
  const meet = async (contact: RunnerContact): Promise<void> => {
    if (now() - contact.at > onlineMs) return;
    const met = await peers.meet(contact.clientId, contact.session);
    if (met === undefined || met.poll !== undefined) return;
    takeIn(met, contact);
    sessions.changed(met);
  };

  const hearOne = async (contact: RunnerContact): Promise<void> => {
    const { clientId, session: id } = contact;
    if (sessions.bySession(clientId)?.speaker.session !== id) await peers.review(clientId);
    const session = sessions.bySession(clientId);
    if (session === undefined) return meet(contact);
    const isNewer = session.speaker.session === id && contact.at > session.lastContact;
    if (!isNewer || session.poll !== undefined) return;
    const before = shownOf(session);
    takeIn(session, contact);
    if (!isDeepStrictEqual(before, shownOf(session))) sessions.changed(session);
  };

  const hear = async (): Promise<void> => {
    const news = (await ledger.listContacts()).filter(
      ({ clientId, at }) => at > (known.get(clientId)?.at ?? -Infinity),
    );
    for (let at = 0; at < news.length; at += atOnce) {
      const some = news.slice(at, at + atOnce);
      for (const contact of some) known.set(contact.clientId, contact);
      await Promise.all(some.map(hearOne));
    }
  };

  const exchange = async (): Promise<void> => {
    try {
      await tell();
      await hear();
    } catch (error) {
      options.onError(error);
    }
  };

  let underway: Promise<void> | undefined;
  const timer = setInterval(() => {
    underway ??= exchange().finally(() => (underway = undefined));
  }, exchangeMs(onlineMs));
  return {
    exchange,
    stop: async () => {
      clearInterval(timer);
      await underway;
    },
  };
};
