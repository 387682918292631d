import { OutriderError, type Problem } from '@outrider/protocol';
import type { Speaker } from '../ledger.ts';
import { prepared } from '../prepared.ts';
import type { Millis, SessionHello, SessionRecord } from '../records.ts';
import { toSession } from '../rows.ts';
import type { SessionRow, Tx } from '../tables.ts';

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

const sessionById = prepared<{ session: string }, Pick<SessionRow, 'client_id' | 'superseded_at'>>((db, at) =>
  db.selectFrom('sessions').select(['client_id', 'superseded_at']).where('session', '=', at('session')),
);

/** Why this speaker may not be heard, or undefined when its session is the key's current one. */
export const speakerProblem = async (tx: Tx, by: Speaker): Promise<Problem | undefined> => {
  const [row] = await sessionById(tx, { session: by.session });
  if (row === undefined || row.client_id !== by.clientId) return unknownProblem(by);
  return row.superseded_at === null ? undefined : supersededProblem(by);
};

/** @throws OutriderError SessionUnknown, SessionSuperseded */
export const requireSpeaker = async (tx: Tx, by: Speaker): Promise<void> => {
  const problem = await speakerProblem(tx, by);
  if (problem !== undefined) throw new OutriderError(problem);
};

/** The key's current session, and when the process behind it started, by its own word. */
const currentSession = async (
  tx: Tx,
  clientId: string,
): Promise<{ openedAt: Millis; process: string | undefined } | undefined> => {
  const row = await tx.sql
    .selectFrom('sessions')
    .select(['opened_at', 'hello'])
    .where('client_id', '=', clientId)
    .where('superseded_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const hello: SessionHello | undefined = row.hello === null ? undefined : JSON.parse(row.hello);
  return { openedAt: row.opened_at, process: hello?.startedAt };
};

/**
 * Makes this the key's current session. A superseded session never comes back; the current one may be opened again (a lost
 * answer).
 * @returns When the key's session before was opened, if another process has taken the place of the one behind it.
 * @throws OutriderError SessionSuperseded; SessionUnknown when the id is another key's.
 */
export const supersedeSessions = async (
  tx: Tx,
  by: Speaker,
  at: { now: Millis; hello: SessionHello | undefined },
): Promise<{ replaced: Millis | undefined }> => {
  await tx.lock(`session/${by.clientId}`);
  const problem = await speakerProblem(tx, by);
  if (problem === undefined) return { replaced: undefined };
  const { now, hello } = at;
  const taken = await tx.sql
    .selectFrom('sessions')
    .select('session')
    .where('session', '=', by.session)
    .executeTakeFirst();
  if (taken !== undefined) throw new OutriderError(problem);
  const before = await currentSession(tx, by.clientId);
  await tx.sql
    .updateTable('sessions')
    .set({ superseded_at: now })
    .where('client_id', '=', by.clientId)
    .where('superseded_at', 'is', null)
    .execute();
  await tx.sql
    .insertInto('sessions')
    .values({
      session: by.session,
      client_id: by.clientId,
      opened_at: now,
      superseded_at: null,
      hello: hello === undefined ? null : JSON.stringify(hello),
    })
    .execute();
  const isOther = before?.process !== undefined && hello !== undefined && before.process !== hello.startedAt;
  return { replaced: isOther ? before.openedAt : undefined };
};

export const readSession = async (tx: Tx, session: string): Promise<SessionRecord | undefined> => {
  const row = await tx.sql
    .selectFrom('sessions')
    .selectAll()
    .where('session', '=', session)
    .executeTakeFirst();
  return row === undefined ? undefined : toSession(row);
};

export const currentSessions = async (tx: Tx): Promise<readonly SessionRecord[]> => {
  const rows = await tx.sql
    .selectFrom('sessions')
    .selectAll()
    .where('superseded_at', 'is', null)
    .orderBy('client_id')
    .execute();
  return rows.map(toSession);
};
