import { randomBytes } from 'node:crypto';
import type { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { Kysely } from 'kysely';
import { runCommand } from '../commands/index.ts';
import type { Tables, Tx } from '../tables.ts';
import { openDatabase } from './database.ts';
import { nodeSqliteDialect } from './dialect.ts';
import { createGroupCommit } from './group-commit.ts';
import { migrate } from './migrations.ts';
import { serve, type Service } from './worker-host.ts';
import type { Call } from './worker-messages.ts';

/** Call that reads the engine rather than the records. */
export const diagnosticsCall = 'diagnostics';

/** Made with the file, so that another ledger under the same name is told apart. */
const readGeneration = (db: DatabaseSync): string => {
  db.prepare("INSERT INTO meta (key, value) VALUES ('generation', ?) ON CONFLICT DO NOTHING").run(
    randomBytes(16).toString('hex'),
  );
  return String(db.prepare("SELECT value FROM meta WHERE key = 'generation'").get()?.['value']);
};

const synchronousNames = ['OFF', 'NORMAL', 'FULL', 'EXTRA'];

const openService = (file: string): Service => {
  const what = `ledger ${file}`;
  const db = openDatabase(what, file);
  migrate(db, file);
  const generation = readGeneration(db);
  const tx: Tx = {
    sql: new Kysely<Tables>({ dialect: nodeSqliteDialect(db) }),
    // One connection, one transaction at a time.
    lock: () => Promise.resolve(),
  };

  const diagnostics = () => ({
    journalMode: String(db.prepare('PRAGMA journal_mode').get()?.['journal_mode']),
    synchronous:
      synchronousNames[Number(db.prepare('PRAGMA synchronous').get()?.['synchronous'])] ?? 'unknown',
    ...group.timings(),
  });
  const run = async ({ name, args }: Call): Promise<unknown> =>
    name === diagnosticsCall ? diagnostics() : runCommand(tx, name, args);
  const group = createGroupCommit(db, what, run);

  return {
    opened: generation,
    handle: async (calls) => ({ answers: await group.commit(calls) }),
    close: () => db.close(),
  };
};

const { file }: { file: string } = workerData;
if (parentPort !== null) serve(parentPort, () => openService(file));
