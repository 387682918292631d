import type { AuditRecord } from '../records.ts';
import { toAudit } from '../rows.ts';
import type { Tx } from '../tables.ts';

export const insertAudit = async (tx: Tx, record: AuditRecord): Promise<void> => {
  const { at, actor, action, object, details } = record;
  await tx.sql
    .insertInto('audit')
    .values({ at, actor, action, object, details: JSON.stringify(details) })
    .execute();
};

export const audit = insertAudit;

/** Newest first. */
export const listAudit = async (
  tx: Tx,
  query: { limit: number; object?: string },
): Promise<readonly AuditRecord[]> => {
  let select = tx.sql.selectFrom('audit').select(['at', 'actor', 'action', 'object', 'details']);
  if (query.object !== undefined) select = select.where('object', '=', query.object);
  const rows = await select.orderBy('at', 'desc').limit(query.limit).execute();
  return rows.map(toAudit);
};
