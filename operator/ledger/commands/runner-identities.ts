import type { Millis, RunnerIdentityRecord } from '../records.ts';
import { toIdentity } from '../rows.ts';
import type { Tx } from '../tables.ts';

const tagsText = (tags: readonly string[] | null): string | null =>
  tags === null ? null : JSON.stringify(tags);

/** A key that is known already keeps its registration time, and stays revoked if it was. */
export const putRunnerIdentity = async (tx: Tx, record: RunnerIdentityRecord): Promise<void> => {
  const written = {
    public_key: record.publicKey,
    namespace: record.namespace,
    name: record.name,
    requested_tags: tagsText(record.requestedTags),
    permitted_tags: tagsText(record.permittedTags),
    local: record.local ? 1 : 0,
  };
  await tx.sql
    .insertInto('runner_identities')
    .values({
      ...written,
      client_id: record.clientId,
      registered_at: record.registeredAt,
      revoked_at: record.revokedAt,
    })
    .onConflict((conflict) => conflict.column('client_id').doUpdateSet(written))
    .execute();
};

export const readRunnerIdentity = async (
  tx: Tx,
  clientId: string,
): Promise<RunnerIdentityRecord | undefined> => {
  const row = await tx.sql
    .selectFrom('runner_identities')
    .selectAll()
    .where('client_id', '=', clientId)
    .executeTakeFirst();
  return row === undefined ? undefined : toIdentity(row);
};

/** Of all runners, or of one. Revoked ones too, in the order of their registration. */
export const listRunnerIdentities = async (
  tx: Tx,
  of?: { namespace: string; name: string },
): Promise<readonly RunnerIdentityRecord[]> => {
  const all = tx.sql
    .selectFrom('runner_identities')
    .selectAll()
    .orderBy('registered_at')
    .orderBy('client_id');
  const asked =
    of === undefined ? all : all.where('namespace', '=', of.namespace).where('name', '=', of.name);
  const rows = await asked.execute();
  return rows.map(toIdentity);
};

/** The first revocation counts; it is never undone. */
export const revokeRunnerIdentity = async (
  tx: Tx,
  command: { clientId: string; now: Millis },
): Promise<void> => {
  await tx.sql
    .updateTable('runner_identities')
    .set({ revoked_at: command.now })
    .where('client_id', '=', command.clientId)
    .where('revoked_at', 'is', null)
    .execute();
};
