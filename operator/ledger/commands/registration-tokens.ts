import type { Millis, RegistrationTokenRecord } from '../records.ts';
import { toToken } from '../rows.ts';
import type { Tx } from '../tables.ts';

export const createRegistrationToken = async (
  tx: Tx,
  record: Omit<RegistrationTokenRecord, 'clientId'>,
): Promise<void> => {
  await tx.sql
    .insertInto('registration_tokens')
    .values({
      hash: record.hash,
      namespace: record.namespace,
      tags: record.tags === null ? null : JSON.stringify(record.tags),
      local: record.local ? 1 : 0,
      created_by: record.createdBy,
      expires_at: record.expiresAt,
      client_id: null,
    })
    .execute();
};

type Redeemed =
  | { outcome: 'Bound' | 'Repeated'; token: RegistrationTokenRecord }
  | { outcome: 'Unknown' | 'Expired' | 'Used' };

/** The pair that it is bound to may repeat even after the expiry: the answer to its first use may be what was lost. */
export const redeemRegistrationToken = async (
  tx: Tx,
  command: { hash: string; clientId: string; now: Millis },
): Promise<Redeemed> => {
  const { hash, clientId, now } = command;
  const row = await tx.sql
    .selectFrom('registration_tokens')
    .selectAll()
    .where('hash', '=', hash)
    .executeTakeFirst();
  if (row === undefined) return { outcome: 'Unknown' };
  if (row.client_id === clientId) return { outcome: 'Repeated', token: toToken(row) };
  if (row.client_id !== null) return { outcome: 'Used' };
  if (row.expires_at <= now) return { outcome: 'Expired' };
  const bound = await tx.sql
    .updateTable('registration_tokens')
    .set({ client_id: clientId })
    .where('hash', '=', hash)
    .where('client_id', 'is', null)
    .returningAll()
    .executeTakeFirstOrThrow();
  return { outcome: 'Bound', token: toToken(bound) };
};
