import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { SqliteDialect, type SqliteDatabase, type SqliteStatement } from 'kysely';

/** Distinct SQL texts kept prepared; lists of varying length make new texts, the oldest then goes. */
const cachedStatements = 256;

const isBindable = (value: unknown): value is SQLInputValue =>
  value === null ||
  typeof value === 'string' ||
  typeof value === 'number' ||
  typeof value === 'bigint' ||
  ArrayBuffer.isView(value);

const bindable = (values: readonly unknown[]): SQLInputValue[] =>
  values.map((value) => {
    if (isBindable(value)) return value;
    throw new TypeError(`SQLite cannot bind a ${typeof value}`);
  });

const adapt = (statement: StatementSync): SqliteStatement => ({
  reader: statement.columns().length > 0,
  all: (parameters) => statement.all(...bindable(parameters)),
  run: (parameters) => statement.run(...bindable(parameters)),
  iterate: (parameters) => statement.iterate(...bindable(parameters)),
});

/** kysely over `node:sqlite`; each SQL text is prepared once. */
export const nodeSqliteDialect = (db: DatabaseSync): SqliteDialect => {
  const cache = new Map<string, SqliteStatement>();
  const prepare = (sql: string): SqliteStatement => {
    const known = cache.get(sql);
    if (known !== undefined) return known;
    const oldest = cache.size >= cachedStatements ? cache.keys().next().value : undefined;
    if (oldest !== undefined) cache.delete(oldest);
    const statement = adapt(db.prepare(sql));
    cache.set(sql, statement);
    return statement;
  };
  const database: SqliteDatabase = { prepare, close: () => db.close() };
  return new SqliteDialect({ database });
};
