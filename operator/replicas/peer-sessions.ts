import type { AuthenticatedRunner } from '../dispatch/contract.ts';
import { superseded, type Sessions } from '../dispatch/sessions.ts';
import type { Session } from '../dispatch/session.ts';
import type { Ledger } from '../ledger/ledger.ts';

export interface PeerSessionsOptions {
  readonly ledger: Pick<Ledger, 'readSession' | 'readRunnerIdentity'>;
  readonly sessions: Sessions;
}

/** Sessions that other replicas opened, taken up from the ledger when they are first met here. */
export interface PeerSessions {
  /**
   * Makes this session the runner's current one here, if it is so in the ledger. One that the ledger does not know is left to
   * the caller.
   * @throws OutriderError SessionSuperseded
   */
  takeUp(runner: AuthenticatedRunner, session: string): Promise<void>;
  /** The same for a session that another replica told of; a key that is unknown or revoked is left out. */
  meet(clientId: string, session: string): Promise<Session | undefined>;
  /** Forgets a session that the ledger says another one has superseded. */
  review(clientId: string): Promise<void>;
}

export const createPeerSessions = ({ ledger, sessions }: PeerSessionsOptions): PeerSessions => {
  const underway = new Map<string, Promise<void>>();

  const isCurrent = (clientId: string, session: string): boolean =>
    sessions.bySession(clientId)?.speaker.session === session;

  const read = async (runner: AuthenticatedRunner, session: string): Promise<void> => {
    const [record, identity] = await Promise.all([
      ledger.readSession(session),
      ledger.readRunnerIdentity(runner.clientId),
    ]);
    if (record?.clientId !== runner.clientId || record.hello === null || !identity) return;
    if (record.supersededAt !== null) throw superseded(runner.name);
    // It may have come in, or been superseded here, while the ledger was read.
    if (isCurrent(runner.clientId, session)) return;
    const limits = [identity.requestedTags, identity.permittedTags];
    sessions.open(runner, record.hello, { session, limits });
  };

  const takeUp = (runner: AuthenticatedRunner, session: string): Promise<void> => {
    if (isCurrent(runner.clientId, session)) return Promise.resolve();
    // The calls of a runner come together: a second opening would cut the poll of the first.
    const known = underway.get(session);
    if (known) return known;
    const reading = read(runner, session).finally(() => underway.delete(session));
    underway.set(session, reading);
    return reading;
  };

  return {
    takeUp,
    meet: async (clientId, session) => {
      const identity = await ledger.readRunnerIdentity(clientId);
      if (!identity || identity.revokedAt !== null) return undefined;
      const { namespace, name, local } = identity;
      await takeUp({ clientId, namespace, name, local }, session);
      return isCurrent(clientId, session) ? sessions.bySession(clientId) : undefined;
    },
    review: async (clientId) => {
      const known = sessions.bySession(clientId);
      if (!known) return;
      const { session } = known.speaker;
      const record = await ledger.readSession(session);
      const isOver = record !== undefined && record.supersededAt !== null;
      if (isOver && isCurrent(clientId, session)) sessions.remove(clientId, superseded(known.runner.name));
    },
  };
};
