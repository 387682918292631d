/** How to reach the server, and the bounds of everything that waits for it. Times are milliseconds. */
export interface PostgresSettings {
  /**
   * `postgres://user:password@host:port/database`. TLS is asked for here: `?sslmode=verify-full&sslrootcert=/path/ca.crt`. No
   * pooler that changes the session between transactions: prepared statements and LISTEN need one session.
   */
  readonly url: string;
  /** Names this operator in pg_stat_activity and in notifications; unique among those of one ledger. */
  readonly replica: string;
  /** Connections on which groups of commands are committed. */
  readonly writers: number;
  /** Connections for reading. */
  readonly readers: number;
  /** Calls answered by one commit. */
  readonly maxGroup: number;
  /** Calls that may wait; more are refused at once. */
  readonly maxWaiting: number;
  /** How long a call waits for a server that is away or busy before it is answered Unavailable. */
  readonly patienceMs: number;
  /** Opening a connection. */
  readonly connectMs: number;
  /** One statement, at the server; a little later the connection is given up. */
  readonly statementMs: number;
  /** Waiting for a lock that another replica holds. */
  readonly lockMs: number;
  /**
   * The server ends a session that leaves its transaction open for so long, so that an operator that was suspended holds up
   * nobody else.
   */
  readonly idleTransactionMs: number;
  /** Between two looks for what other replicas changed, besides notifications. */
  readonly sweepMs: number;
}

export type PostgresOptions = Pick<PostgresSettings, 'url' | 'replica'> & Partial<PostgresSettings>;

const defaults = {
  writers: 2,
  readers: 2,
  maxGroup: 100,
  maxWaiting: 10_000,
  patienceMs: 10_000,
  connectMs: 5000,
  statementMs: 20_000,
  lockMs: 15_000,
  idleTransactionMs: 10_000,
  sweepMs: 1000,
} as const;

export const withDefaults = (options: PostgresOptions): PostgresSettings => ({ ...defaults, ...options });

/** How the store is named in errors: without user and password. */
export const nameOf = (store: string, url: string): string => {
  const { hostname, port, pathname } = new URL(url);
  return `${store} postgres://${hostname}${port === '' ? '' : `:${port}`}${pathname}`;
};
