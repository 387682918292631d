import { OutriderError, type Problem } from '@outrider/protocol';
import type { Speaker } from '../ledger.ts';
import type { Tx } from '../tables.ts';

const supersededProblem = ({ runnerName, session }: Speaker): Problem => ({
  code: 'SessionSuperseded',
  message: `Session ${session} of runner ${runnerName} was superseded by a newer session of the same key.`,
  action: 'Stop this process: another one runs with its key. Give every replica a key of its own.',
});

const unknownProblem = ({ runnerName, session }: Speaker): Problem => ({
  code: 'SessionUnknown',
  message: `Runner ${runnerName} has no session ${session}.`,
  action: 'Open a session first; it hands in the journal and gets a session id.',
});

/** Why this speaker may not be heard, or undefined when its session is the key's current one. */
export const speakerProblem = async (tx: Tx, by: Speaker): Promise<Problem | undefined> => {
  const row = await tx.sql
    .selectFrom('sessions')
    .select(['client_id', 'superseded_at'])
    .where('session', '=', by.session)
    .executeTakeFirst();
  if (row === undefined || row.client_id !== by.clientId) return unknownProblem(by);
  return row.superseded_at === null ? undefined : supersededProblem(by);
};

/** @throws OutriderError SessionUnknown, SessionSuperseded */
export const requireSpeaker = async (tx: Tx, by: Speaker): Promise<void> => {
  const problem = await speakerProblem(tx, by);
  if (problem !== undefined) throw new OutriderError(problem);
};

/**
 * Makes this the key's current session. A superseded session never comes back; the current one may be opened again (a lost
 * answer).
 * @throws OutriderError SessionSuperseded; SessionUnknown when the id is another key's.
 */
export const supersedeSessions = async (tx: Tx, by: Speaker, now: number): Promise<void> => {
  const problem = await speakerProblem(tx, by);
  if (problem === undefined) return;
  const taken = await tx.sql
    .selectFrom('sessions')
    .select('session')
    .where('session', '=', by.session)
    .executeTakeFirst();
  if (taken !== undefined) throw new OutriderError(problem);
  await tx.sql
    .updateTable('sessions')
    .set({ superseded_at: now })
    .where('client_id', '=', by.clientId)
    .where('superseded_at', 'is', null)
    .execute();
  await tx.sql
    .insertInto('sessions')
    .values({ session: by.session, client_id: by.clientId, opened_at: now, superseded_at: null })
    .execute();
};
