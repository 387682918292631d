import { DatabaseSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { commands } from '../commands/index.ts';
import type { Ledger } from '../ledger.ts';
import { nodeSqliteDialect } from '../sqlite/dialect.ts';
import { migrate } from '../sqlite/migrations.ts';
import type { Tables, Tx } from '../tables.ts';

/** The production commands over a database in memory, of which a copy can be kept and put back. */
export interface MemoryLedger {
  readonly ledger: Ledger;
  /** Keeps a copy in the place of the one before. */
  copy(): void;
  /** Puts the copy back; it stays for the next time. False when there is none. */
  putBack(): boolean;
  close(): void;
}

/** @param change What takes the place of the production's commands: a mistake that the invariants must catch. */
export const openMemoryLedger = (change: (ledger: Ledger) => Partial<Ledger> = () => ({})): MemoryLedger => {
  const db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: true });
  migrate(db, ':memory:');
  let generation = 'first';
  db.prepare("INSERT INTO meta (key, value) VALUES ('generation', ?)").run(generation);
  const tx: Tx = {
    sql: new Kysely<Tables>({ dialect: nodeSqliteDialect(db) }),
    lock: () => Promise.resolve(),
  };
  let hasCopy = false;

  const atomically = async <T>(run: () => Promise<T>): Promise<T> => {
    db.exec('SAVEPOINT command');
    try {
      const value = await run();
      db.exec('RELEASE command');
      return value;
    } catch (error) {
      db.exec('ROLLBACK TO command; RELEASE command');
      throw error;
    }
  };
  const methods = Object.fromEntries(
    Object.entries(commands).map(([name, command]) => [
      name,
      (...args: unknown[]) =>
        atomically(() => (command as (tx: Tx, ...args: unknown[]) => Promise<unknown>)(tx, ...args)),
    ]),
  ) as unknown as Omit<Ledger, 'generation'>;
  const production: Ledger = {
    ...methods,
    get generation() {
      return generation;
    },
    restored: undefined,
    onRestored: () => () => undefined,
    onChange: () => () => undefined,
    enterRecovery: async (command) => {
      const changed = await methods.enterRecovery(command);
      ({ generation } = await methods.readMeta());
      return changed;
    },
    diagnostics: () =>
      Promise.resolve({ journalMode: 'memory', synchronous: 'OFF', commits: 0, commitMs: [] }),
    close: () => Promise.resolve(db.close()),
  };
  const ledger: Ledger = Object.assign(Object.create(production), change(production));
  return {
    ledger,
    copy: () => {
      if (hasCopy) db.exec('RELEASE copy');
      db.exec('SAVEPOINT copy');
      hasCopy = true;
    },
    putBack: () => {
      if (hasCopy) db.exec('ROLLBACK TO copy');
      return hasCopy;
    },
    close: () => db.close(),
  };
};
