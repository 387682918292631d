import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setImmediate as turn } from 'node:timers/promises';
import type { Operator } from '../servers/outrider.ts';

const ledgerOf = ({ dataDir }: Operator): string => join(dataDir, 'ledger.db');

/** States of the tasks that a dead operator left open. Its lock on the ledger ends with the last of its threads. */
const openStates = (operator: Operator): string[] => {
  const ledger = new DatabaseSync(ledgerOf(operator), { timeout: 5000 });
  try {
    const ended = "'Succeeded', 'Failed', 'TimedOut', 'Cancelled', 'Skipped', 'Lost'";
    return ledger
      .prepare(`SELECT state FROM tasks WHERE state NOT IN (${ended})`)
      .all()
      .map(({ state }) => String(state));
  } finally {
    ledger.close();
  }
};

/**
 * Kills an operator when it has written so many bytes to its ledger's write-ahead log from now on, and answers which states
 * it left; undefined when `isOver` held before that.
 */
export const killAtBytes = async (
  operator: Operator,
  { bytes, isOver }: { readonly bytes: number; readonly isOver: () => boolean },
): Promise<string[] | undefined> => {
  const size = (): number => statSync(`${ledgerOf(operator)}-wal`).size;
  const start = size();
  while (size() - start < bytes) {
    if (isOver()) return undefined;
    await turn();
  }
  operator.process.signal('SIGKILL');
  while (operator.process.running()) await turn();
  return openStates(operator);
};
