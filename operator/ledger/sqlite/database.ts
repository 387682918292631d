import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { OutriderError } from '@outrider/protocol';
import { damagedError, explainFailure } from './failures.ts';

const quickCheck = (what: string, db: DatabaseSync): void => {
  const finding = String(db.prepare('PRAGMA quick_check(1)').get()?.['quick_check']);
  if (finding !== 'ok') throw damagedError(what, finding);
};

/**
 * Opens a database for this process alone, checked and durable: WAL, synchronous=FULL (an answered commit survives a power
 * cut), an exclusive lock for as long as it is open, and no waiting for locks since nobody else may have one.
 * @param what How the file is named in errors, such as `ledger /data/ledger.db`.
 * @param options.quickCheck False for files so large that reading them whole would delay the start. Default true.
 * @throws OutriderError Unavailable when another process has it, or when it is damaged or cannot be written.
 */
export const openDatabase = (
  what: string,
  file: string,
  options: { quickCheck?: boolean } = {},
): DatabaseSync => {
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(dirname(file), { recursive: true });
    db = new DatabaseSync(file, { timeout: 0, enableForeignKeyConstraints: true });
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    // Takes the lock now, not at the first command.
    db.exec('BEGIN IMMEDIATE; COMMIT;');
    if (options.quickCheck ?? true) quickCheck(what, db);
    return db;
  } catch (error) {
    db?.close();
    throw error instanceof OutriderError
      ? error
      : new OutriderError(explainFailure(what, error), { cause: error });
  }
};
