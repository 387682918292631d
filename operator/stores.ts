import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ledger } from './ledger/ledger.ts';
import { openPostgresLedger } from './ledger/postgres/open.ts';
import { openSqliteLedger } from './ledger/sqlite/open.ts';
import type { LogStore } from './logs/contract.ts';
import { openSqliteLogStore } from './logs/open.ts';
import { openPostgresLogStore } from './logs/postgres/open.ts';
import { watchStores } from './store-watch.ts';

export interface StoresOptions {
  readonly dataDir: string;
  /** postgres://…; undefined for SQLite in `dataDir`. */
  readonly ledgerUrl?: string | undefined;
  /** Of this replica. */
  readonly identity: string;
}

export interface Stores {
  readonly ledger: Ledger;
  readonly logs: LogStore;
  /** Several replicas may have them open. */
  readonly shared: boolean;
  /** Rejects when they are of no more use to this process: only a new one can go on. */
  readonly failed: Promise<never>;
  close(): Promise<void>;
}

/** A server that is away comes back; a ledger that was restored under a running operator is another one. */
const openShared = async (url: string, replica: string): Promise<Stores> => {
  const ledger = await openPostgresLedger({ url, replica });
  const logs = await openPostgresLogStore({ url });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  // Whoever waits for it is told; nobody has to.
  failed.catch(() => undefined);
  ledger.onRestored(reject);
  return {
    ledger,
    logs,
    shared: true,
    failed,
    close: async () => {
      await ledger.close();
      await logs.close();
    },
  };
};

const openEmbedded = async (dataDir: string): Promise<Stores> => {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const ledger = await openSqliteLedger({ file: join(dataDir, 'ledger.db') });
  const logs = await openSqliteLogStore({ dir: join(dataDir, 'logs') });
  const watch = watchStores({ ledger, logs });
  return {
    ledger,
    logs,
    shared: false,
    failed: watch.failed,
    close: async () => {
      watch.stop();
      await ledger.close();
      await logs.close();
    },
  };
};

/** Opens ledger and logs, both in PostgreSQL or both in SQLite files. @throws OutriderError Unavailable */
export const openStores = ({ dataDir, ledgerUrl, identity }: StoresOptions): Promise<Stores> =>
  ledgerUrl === undefined ? openEmbedded(dataDir) : openShared(ledgerUrl, identity);
