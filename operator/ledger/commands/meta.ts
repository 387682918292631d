import { OutriderError } from '@outrider/protocol';
import { prepared } from '../prepared.ts';
import type { LedgerMeta } from '../records.ts';
import type { Tx } from '../tables.ts';

type Key = 'generation' | 'former_generations' | 'term' | 'sequence' | 'recovery';

const allMeta = prepared<object, { key: string; value: string }>((db) =>
  db.selectFrom('meta').select(['key', 'value']),
);

const readAll = async (tx: Tx): Promise<ReadonlyMap<string, string>> => {
  const rows = await allMeta(tx, {});
  return new Map(rows.map(({ key, value }) => [key, value]));
};

export const writeMeta = async (tx: Tx, key: Key, value: string): Promise<void> => {
  await tx.sql
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
};

export const readMeta = async (tx: Tx): Promise<LedgerMeta> => {
  const meta = await readAll(tx);
  return {
    generation: meta.get('generation') ?? '',
    formerGenerations: JSON.parse(meta.get('former_generations') ?? '[]'),
    term: Number(meta.get('term') ?? 0),
    sequence: Number(meta.get('sequence') ?? 0),
    recovery: JSON.parse(meta.get('recovery') ?? 'null'),
  };
};

const termSuperseded = (given: number, current: number): OutriderError =>
  new OutriderError({
    code: 'TermSuperseded',
    message: `This replica leads with term ${given}, and another one has led since with term ${current}; nothing was changed.`,
    action: 'Wait: the replica stops leading by itself, and the leader does what is to be done.',
  });

export const recoveryActive = (): OutriderError =>
  new OutriderError({
    code: 'RecoveryActive',
    message:
      'The ledger was restored from a copy, and nothing starts before a person has confirmed what is known.',
    action:
      'Look at what the runners have handed in with `outrider recovery`, then run `outrider recovery confirm`.',
  });

/**
 * What a command of the leader begins with: its term is the ledger's. Commands of an unreplicated operator carry none.
 * @throws OutriderError TermSuperseded
 */
export const guardLeader = async (tx: Tx, term: number | undefined): Promise<LedgerMeta> => {
  await tx.lock('meta', 'Shared');
  const meta = await readMeta(tx);
  if (term !== undefined && term < meta.term) throw termSuperseded(term, meta.term);
  return meta;
};

/**
 * What a command begins with that leads to work: the ledger is not in recovery.
 * @throws OutriderError RecoveryActive, TermSuperseded
 */
export const guardNormal = async (tx: Tx, term?: number): Promise<void> => {
  const { recovery } = await guardLeader(tx, term);
  if (recovery !== null) throw recoveryActive();
};

export const takeTerm = async (tx: Tx): Promise<number> => {
  await tx.lock('meta');
  const { term } = await readMeta(tx);
  await writeMeta(tx, 'term', String(term + 1));
  return term + 1;
};

export const advanceSequence = async (tx: Tx, command: { term?: number }): Promise<number> => {
  const { sequence } = await guardLeader(tx, command.term);
  await writeMeta(tx, 'sequence', String(sequence + 1));
  return sequence + 1;
};
