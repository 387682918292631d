import { sql, type Compilable, type CompiledQuery, type Kysely, type RawBuilder } from 'kysely';
import type { Tables, Tx } from './tables.ts';

/** Stands in a compiled query where each call puts its own value. */
class Placeholder {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** What a query says in place of a value that is known only when it runs. */
export type At<P> = <K extends keyof P & string>(name: K) => RawBuilder<P[K]>;

/** A query that is built and compiled once per connection, not at every call. */
export type PreparedQuery<P, O> = (tx: Tx, values: P) => Promise<readonly O[]>;

const placeholder = <P>(): At<P> => {
  const at = <K extends keyof P & string>(name: K): RawBuilder<P[K]> => sql<P[K]>`${new Placeholder(name)}`;
  return at;
};

/**
 * @param build Makes the query, with `at('name')` for each value; what else it contains is the same at every call.
 */
export const prepared = <P extends object, O>(
  build: (db: Kysely<Tables>, at: At<P>) => Compilable<O>,
): PreparedQuery<P, O> => {
  const known = new WeakMap<Kysely<Tables>, CompiledQuery<O>>();
  const compile = (db: Kysely<Tables>): CompiledQuery<O> => {
    const query = build(db, placeholder<P>()).compile();
    known.set(db, query);
    return query;
  };
  return async (tx, values) => {
    const query = known.get(tx.sql) ?? compile(tx.sql);
    const given = new Map<string, unknown>(Object.entries(values));
    const parameters = query.parameters.map((each) => {
      if (!(each instanceof Placeholder)) return each;
      const value = given.get(each.name);
      // PostgreSQL's driver would take it for NULL.
      if (value === undefined) throw new TypeError(`a query has no value for ${each.name}`);
      return value;
    });
    const { rows } = await tx.sql.executeQuery<O>({ ...query, parameters });
    return rows;
  };
};

/** Columns set to the values of the same names. */
export const assignments = (columns: readonly string[]): Record<string, RawBuilder<never>> =>
  Object.fromEntries(columns.map((column) => [column, sql<never>`${new Placeholder(column)}`]));

/** Queries by the columns that they write: a few sets of columns make up nearly all of them. */
export const preparedByColumns = <P extends object, O>(
  build: (columns: readonly string[]) => PreparedQuery<P, O>,
): ((columns: readonly string[]) => PreparedQuery<P, O>) => {
  const known = new Map<string, PreparedQuery<P, O>>();
  return (columns) => {
    const key = columns.join();
    const query = known.get(key) ?? build(columns);
    known.set(key, query);
    return query;
  };
};
