import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { must, run } from './command.ts';
import { Footprint } from './footprint.ts';
import { freePort } from './ports.ts';
import { startProcess, type ServerProcess } from './process.ts';
import { waitFor } from './wait.ts';

export interface PostgresOptions {
  /** Where what is started is listed. Default: one of its own, removed by `stop`. */
  readonly footprint?: Footprint;
  /** Tells several servers of one footprint apart. Default: `postgres`. */
  readonly name?: string;
  /** Address to listen on, and to connect to. Default: 127.0.0.1. */
  readonly address?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Further settings, as in postgresql.conf. What is not named has the server's default: fsync is on. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** A running PostgreSQL with a data folder of its own. */
export interface Postgres {
  /** Host, port and password of the superuser `outrider`; a database's URL is `url(name)`. Default: `postgres`. */
  url(database?: string): string;
  /** Folder of its Unix socket. */
  readonly socketFolder: string;
  readonly dataFolder: string;
  /** Process id of the running server. */
  pid(): number;
  /** Makes an empty database with a name of its own and returns its URL. */
  createDatabase(prefix?: string): Promise<string>;
  /** Runs SQL as superuser and returns the rows of the last statement. */
  query(sql: string, database?: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Ends all sessions of these databases (pg_terminate_backend) and returns how many there were. */
  terminateSessions(database: string): Promise<number>;
  /** As if its machine had lost power: SIGKILL to every process of it; `start` recovers from the write-ahead log. */
  kill(): Promise<void>;
  /** Ends it as `pg_ctl stop` does: transactions in progress are rolled back. It keeps its data; `start` goes on with them. */
  halt(): Promise<void>;
  /** After `kill` or `halt`, with the same data, address and port. */
  start(): Promise<void>;
  restart(): Promise<void>;
  /** Makes it go on with a new timeline, as a standby does that is promoted after a failover. */
  promote(): Promise<void>;
  stop(): Promise<void>;
}

const USER = 'outrider';
const VERSIONS = '/usr/lib/postgresql';

/** Folder of the newest installed server's programs. */
const programs = (): string => {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS) : [];
  const [newest] = versions
    .filter((version) => existsSync(join(VERSIONS, version, 'bin', 'initdb')))
    .sort((one, other) => Number(other) - Number(one));
  if (newest === undefined) throw new Error('no PostgreSQL server: install the Debian package postgresql');
  return join(VERSIONS, newest, 'bin');
};

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** The server refuses to run as root: then it runs as the account that the Debian package has made. */
const unprivileged = async (): Promise<Account | undefined> => {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (flag: string): Promise<number> => Number(await must('id', [flag, 'postgres']));
  return { uid: await id('-u'), gid: await id('-g') };
};

/** A change of user clears the signal that ends a process with its parent, so it is set again. SIGINT: at once, in order. */
const asAccount = (account: Account | undefined, command: readonly string[]): readonly string[] =>
  account === undefined
    ? command
    : [
        'setpriv',
        `--reuid=${account.uid}`,
        `--regid=${account.gid}`,
        '--clear-groups',
        '--pdeathsig=INT',
        '--',
        ...command,
      ];

interface Place {
  readonly footprint: Footprint;
  readonly folder: string;
  readonly data: string;
  readonly password: string;
  readonly account: Account | undefined;
  readonly address: string;
  readonly port: number;
  readonly options: PostgresOptions;
}

/** Outside the footprint's own folder, which nobody else may enter, and with a path that is short enough for a socket. */
const makeFolder = (footprint: Footprint, account: Account | undefined): string => {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-pg-'));
  footprint.add({ kind: 'folder', path: folder });
  mkdirSync(join(folder, 'data'), { mode: 0o700 });
  for (const path of account === undefined ? [] : [folder, join(folder, 'data')])
    chownSync(path, account?.uid ?? 0, account?.gid ?? 0);
  return folder;
};

const initialize = async (place: Place): Promise<void> => {
  const passwordFile = join(place.folder, 'password');
  writeFileSync(passwordFile, place.password, { mode: 0o600 });
  if (place.account !== undefined) chownSync(passwordFile, place.account.uid, place.account.gid);
  const [command = '', ...args] = asAccount(place.account, [
    join(programs(), 'initdb'),
    `--pgdata=${place.data}`,
    `--username=${USER}`,
    `--pwfile=${passwordFile}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
    '--no-sync',
  ]);
  await must(command, args, { cwd: place.folder, env: { HOME: place.folder } });
};

const urlOf = ({ address, port, password }: Place, database: string): string =>
  `postgres://${USER}:${password}@${address}:${port}/${database}`;

const withClient = async <T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 });
  // A server that ends also ends its sessions; the statement that is waiting says so.
  client.on('error', () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
};

const answers = async (place: Place): Promise<boolean> => {
  const { rows } = await withClient(urlOf(place, 'postgres'), (client) => client.query('SELECT 1'));
  return rows.length === 1;
};

const launch = async (place: Place): Promise<ServerProcess> => {
  const { address, port, folder, data, options } = place;
  const settings = {
    listen_addresses: address,
    port: String(port),
    unix_socket_directories: folder,
    logging_collector: 'off',
    ...options.settings,
  };
  const [command = '', ...args] = asAccount(place.account, [
    join(programs(), 'postgres'),
    '-D',
    data,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]);
  const name = options.name ?? 'postgres';
  return startProcess(place.footprint, {
    name,
    command,
    args,
    cwd: folder,
    env: { HOME: folder },
    ready: () => answers(place),
  });
};

/** The children of a server that was killed end by themselves once they notice. */
const killAll = async (server: ServerProcess): Promise<void> => {
  const { stdout } = await run('pgrep', ['-P', String(server.pid)]);
  const children = stdout.split('\n').filter((line) => line !== '');
  server.signal('SIGKILL');
  for (const pid of children) await run('kill', ['-KILL', pid]);
  await waitFor('the killed server to be gone', async () => {
    const alive = await Promise.all(children.map((pid) => run('kill', ['-0', pid])));
    return !server.running() && alive.every(({ code }) => code !== 0);
  });
};

/** Starts PostgreSQL: superuser `outrider`, password login over TCP and a Unix socket, everything durable as by default. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const footprint = options.footprint ?? Footprint.temporary('postgres');
  try {
    const account = await unprivileged();
    const folder = makeFolder(footprint, account);
    const address = options.address ?? '127.0.0.1';
    const port = options.port ?? (await freePort(address));
    const password = randomBytes(16).toString('hex');
    const data = join(folder, 'data');
    const place: Place = { footprint, folder, data, password, account, address, port, options };
    await initialize(place);
    return await serve(place);
  } catch (error) {
    if (options.footprint === undefined) await footprint.end();
    throw error;
  }
}

const serve = async (place: Place): Promise<Postgres> => {
  const { footprint, folder, data, options } = place;
  let server = await launch(place);
  let databases = 0;
  const query = (sql: string, database = 'postgres') =>
    withClient(urlOf(place, database), async (client) => (await client.query(sql)).rows);
  const halt = async (): Promise<void> => {
    server.signal('SIGINT');
    await waitFor('the server to end', () => !server.running());
    await server.stop();
  };
  const start = async (): Promise<void> => {
    server = await launch(place);
  };
  const restart = async (): Promise<void> => {
    await halt();
    await start();
  };
  return {
    url: (database = 'postgres') => urlOf(place, database),
    socketFolder: folder,
    dataFolder: data,
    pid: () => server.pid,
    createDatabase: async (prefix = 'ledger') => {
      databases += 1;
      const name = `${prefix}_${databases}`;
      await query(`CREATE DATABASE ${name}`);
      return urlOf(place, name);
    },
    query,
    terminateSessions: async (database) => {
      const ended = await query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '${database}' AND pid <> pg_backend_pid()`,
      );
      return ended.length;
    },
    kill: async () => {
      await killAll(server);
      await server.stop();
    },
    halt,
    start,
    restart,
    promote: async () => {
      await halt();
      writeFileSync(join(data, 'standby.signal'), '', { mode: 0o644 });
      await start();
      await query('SELECT pg_promote(true)');
    },
    stop: async () => {
      if (server.running()) await halt();
      if (options.footprint === undefined) await footprint.end();
    },
  };
};
