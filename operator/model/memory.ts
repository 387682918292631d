import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { Kysely } from 'kysely';
import { commands as production } from '../ledger/commands/index.ts';
import { nodeSqliteDialect } from '../ledger/sqlite/dialect.ts';
import { migrate } from '../ledger/sqlite/migrations.ts';
import type { Tables, Tx } from '../ledger/tables.ts';

export type Commands = typeof production;

/** The production commands over a database in memory, with a stack of states to return to. */
export interface Memory {
  readonly commands: Commands;
  readonly tx: Tx;
  /** Rows of a query; the statement is prepared once. */
  rows(sql: string, ...values: readonly (string | number)[]): Record<string, unknown>[];
  /** Remembers the state; `restore` goes back to the last one remembered, and forgets it. */
  save(): void;
  restore(): void;
  close(): void;
}

/** @param change Commands to put in the place of the production's: a mutation that the invariants must catch. */
export const openMemory = (change: (commands: Commands) => Partial<Commands> = () => ({})): Memory => {
  const db = new DatabaseSync(':memory:', { enableForeignKeyConstraints: true });
  migrate(db, ':memory:');
  db.exec("INSERT INTO meta (key, value) VALUES ('generation', 'g1') ON CONFLICT DO NOTHING");
  const tx: Tx = {
    sql: new Kysely<Tables>({ dialect: nodeSqliteDialect(db) }),
    lock: () => Promise.resolve(),
  };
  let depth = 0;
  const statements = new Map<string, StatementSync>();
  const statement = (sql: string): StatementSync => {
    const known = statements.get(sql) ?? db.prepare(sql);
    statements.set(sql, known);
    return known;
  };
  return {
    commands: { ...production, ...change(production) },
    tx,
    rows: (sql, ...values) => statement(sql).all(...values),
    save: () => {
      statement(`SAVEPOINT model_${depth}`).run();
      depth += 1;
    },
    restore: () => {
      depth -= 1;
      statement(`ROLLBACK TO model_${depth}`).run();
      statement(`RELEASE model_${depth}`).run();
    },
    close: () => db.close(),
  };
};
