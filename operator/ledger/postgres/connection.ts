import type { Duplex } from 'node:stream';
import { Kysely, PostgresDialect, type PostgresPoolClient } from 'kysely';
import pg from 'pg';
import type { Tables } from '../tables.ts';
import { requireVersion, StandbyError } from './failures.ts';
import { originSql, type Origin, type OriginRow } from './origin.ts';
import type { PostgresSettings } from './settings.ts';

/** One session at the server. Statements are pipelined: sent at once, answered in their order. */
export interface Connection {
  readonly sql: Kysely<Tables>;
  readonly origin: Origin;
  /** Process id of the session at the server. */
  readonly pid: number;
  /** True once it is lost: whatever was under way fails, and it is of no more use. */
  readonly lost: boolean;
  query<Row extends pg.QueryResultRow>(text: string, values?: readonly unknown[]): Promise<readonly Row[]>;
  onNotification(listener: (payload: string) => void): void;
  onLost(listener: () => void): void;
  /** @throws Error when the server rolled back instead. */
  commit(): Promise<void>;
  /** Ends the session in order. */
  close(): Promise<void>;
  /** Ends it at once, whatever is under way: the server rolls that back. */
  abandon(): void;
}

/** What a session may need beyond the settings that all have. */
export interface SessionOptions {
  /** Ends its name in pg_stat_activity. */
  readonly purpose: string;
  /** Without limits of time, for changes of the schema. */
  readonly unlimited?: boolean;
}

/** Statements that a session keeps prepared; texts beyond that, such as long lists, are parsed each time. */
const preparedStatements = 400;
/** Lists of varying length make a new text each; longer ones are not worth keeping. */
const preparedParameters = 60;

/** A session that does not end in order by then is cut. */
const closeMs = 2000;

/** Whole numbers of eight bytes are counters here, far below 2^53. */
const types = new pg.TypeOverrides();
types.setTypeParser(pg.types.builtins.INT8, Number);

const clientConfig = (settings: PostgresSettings, session: SessionOptions): pg.ClientConfig => {
  const limits = {
    statement_timeout: settings.statementMs,
    // The server's own limit comes first: this one ends the connection.
    query_timeout: settings.statementMs + 2000,
    lock_timeout: settings.lockMs,
    idle_in_transaction_session_timeout: settings.idleTransactionMs,
  };
  return {
    connectionString: settings.url,
    application_name: `outrider/${settings.replica}/${session.purpose}`.slice(0, 63),
    connectionTimeoutMillis: settings.connectMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    pipeline: true,
    types,
    ...(session.unlimited === true ? {} : limits),
  };
};

/** PostgreSQL's text has no NUL; what a runner says may. */
const withoutNul = (value: unknown): unknown =>
  typeof value === 'string' && value.includes('\0') ? value.replaceAll('\0', '\uFFFD') : value;

/** Prepares each text once, under a name of its own. */
const createPrepare = () => {
  const names = new Map<string, string>();
  return (text: string, parameters: number): string | undefined => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size >= preparedStatements || parameters > preparedParameters) return undefined;
    const name = `s${names.size}`;
    names.set(text, name);
    return name;
  };
};

/** kysely over this one session, which no statement of another transaction ever shares. */
const kyselyOn = (client: pg.Client): Kysely<Tables> => {
  const prepare = createPrepare();
  const query = (text: string, parameters: readonly unknown[]) => {
    const name = prepare(text, parameters.length);
    const values = parameters.map(withoutNul);
    return client.query(name === undefined ? { text, values } : { name, text, values });
  };
  const session = { query, release: () => undefined } as unknown as PostgresPoolClient;
  const pool = { options: {}, connect: () => Promise.resolve(session), end: () => Promise.resolve() };
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) });
};

/** An answered commit survives a crash of the server even where the database's own setting says otherwise. */
const durable = `SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')`;

/** The driver keeps these to itself. */
type Internals = pg.Client & { readonly processID: number; readonly connection: { readonly stream: Duplex } };

/** @throws what the server said, StandbyError. */
const openSession = async (client: pg.Client, what: string): Promise<Origin> => {
  await client.connect();
  const [{ rows }] = await Promise.all([client.query<OriginRow>(originSql), client.query(durable)]);
  const [row] = rows;
  if (row === undefined || row.standby) throw new StandbyError(what);
  requireVersion(what, row.version);
  return { system: row.system, timeline: row.timeline };
};

/** @throws Error of the driver; StandbyError. */
export const connect = async (
  settings: PostgresSettings,
  what: string,
  session: SessionOptions,
): Promise<Connection> => {
  const client = new pg.Client(clientConfig(settings, session));
  const lostListeners: (() => void)[] = [];
  let lost = false;
  const lose = (): void => {
    if (lost) return;
    lost = true;
    for (const listener of lostListeners) listener();
  };
  client.on('error', lose);
  client.on('end', lose);
  const { connection } = client as Internals;
  const abandon = (): void => {
    lose();
    connection.stream.destroy();
  };
  const origin = await openSession(client, what).catch((error: unknown) => {
    abandon();
    throw error;
  });
  return {
    sql: kyselyOn(client),
    origin,
    pid: (client as Internals).processID,
    get lost() {
      return lost;
    },
    query: async (text, values = []) => (await client.query(text, [...values])).rows,
    onNotification: (listener) => client.on('notification', ({ payload }) => listener(payload ?? '')),
    onLost: (listener) => lostListeners.push(listener),
    commit: async () => {
      const { command } = await client.query('COMMIT');
      if (command !== 'COMMIT') throw new Error(`the server answered COMMIT with ${command}`);
    },
    close: async () => {
      const timer = setTimeout(abandon, closeMs);
      await client.end().catch(() => undefined);
      clearTimeout(timer);
    },
    abandon,
  };
};
