import type { DatabaseSync } from 'node:sqlite';
import { OutriderError } from '@outrider/protocol';
import { damagedError } from './failures.ts';
import { initial } from './migration-0001-initial.ts';
import { policies } from './migration-0002-policies.ts';
import type { Migration } from './migration.ts';

/**
 * In order of version, without gaps, and never edited after a release. A version only adds (expand); what it makes
 * obsolete goes with the version after (contract), so that the release before still runs on the new schema.
 */
export const migrations: readonly Migration[] = [initial, policies];

const newest = (known: readonly Migration[]): number => known.at(-1)?.version ?? 0;

const currentVersion = (db: DatabaseSync): number => {
  db.exec(
    'CREATE TABLE IF NOT EXISTS migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at REAL NOT NULL) STRICT',
  );
  return Number(db.prepare('SELECT coalesce(max(version), 0) AS version FROM migrations').get()?.['version']);
};

const checkReferences = (db: DatabaseSync, file: string): void => {
  const broken = db.prepare('PRAGMA foreign_key_check').get();
  if (broken !== undefined)
    throw damagedError(`ledger ${file}`, `a row of ${String(broken['table'])} refers to nothing`);
};

/**
 * Brings the schema up to date in one transaction. A schema one version ahead is served (expand, then contract).
 * @throws OutriderError Unavailable when the schema is further ahead than that.
 */
export const migrate = (db: DatabaseSync, file: string, known: readonly Migration[] = migrations): void => {
  // Inside a transaction this pragma does nothing, and dropping a table would delete what refers to it.
  db.exec('PRAGMA foreign_keys = OFF');
  db.exec('BEGIN IMMEDIATE');
  try {
    const current = currentVersion(db);
    if (current > newest(known) + 1) {
      throw new OutriderError({
        code: 'Unavailable',
        message: `The ledger ${file} has schema version ${current}; this operator knows version ${newest(known)} and can serve one version more at most.`,
        action: `Start an operator of the version that wrote the ledger, or one release older, or restore a copy of the ledger made before that upgrade.`,
      });
    }
    const record = db.prepare('INSERT INTO migrations (version, name, applied_at) VALUES (?, ?, ?)');
    for (const migration of known.filter(({ version }) => version > current)) {
      db.exec(migration.sql);
      if (migration.rebuilds === true) checkReferences(db, file);
      record.run(migration.version, migration.name, Date.now());
    }
    db.exec('COMMIT');
  } catch (error) {
    db.exec('ROLLBACK');
    throw error;
  }
  db.exec('PRAGMA foreign_keys = ON');
};
