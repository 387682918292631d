import type { RunnerContact } from '../records.ts';
import { toContact } from '../rows.ts';
import { inChunks, type Tx } from '../tables.ts';

export const noteContacts = async (tx: Tx, contacts: readonly RunnerContact[]): Promise<void> => {
  // One row a key, in one order, so that two replicas never wait for each other in a circle.
  const newest = new Map<string, RunnerContact>();
  for (const contact of contacts)
    if (contact.at >= (newest.get(contact.clientId)?.at ?? -Infinity)) newest.set(contact.clientId, contact);
  const rows = Array.from(newest.values(), ({ clientId, session, at, ...said }) => ({
    client_id: clientId,
    session,
    at,
    said: JSON.stringify(said),
  })).sort((a, b) => (a.client_id < b.client_id ? -1 : 1));
  for (const chunk of inChunks(rows)) {
    await tx.sql
      .insertInto('runner_contacts')
      .values(chunk)
      .onConflict((conflict) =>
        conflict
          .column('client_id')
          .doUpdateSet((eb) => ({
            session: eb.ref('excluded.session'),
            at: eb.ref('excluded.at'),
            said: eb.ref('excluded.said'),
          }))
          .whereRef('runner_contacts.at', '<=', 'excluded.at'),
      )
      .execute();
  }
};

export const listContacts = async (tx: Tx): Promise<readonly RunnerContact[]> => {
  const rows = await tx.sql.selectFrom('runner_contacts').selectAll().orderBy('client_id').execute();
  return rows.map(toContact);
};
