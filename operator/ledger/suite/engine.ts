import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Ledger } from '../ledger.ts';
import { openSqliteLedger } from '../sqlite/open.ts';

/** An empty ledger of the engine under test. */
export interface TestLedger {
  readonly ledger: Ledger;
  /** Closes it and removes what it was kept in. */
  end(): Promise<void>;
}

const sqlite = async (): Promise<TestLedger> => {
  const folder = await mkdtemp(join(tmpdir(), 'ledger-'));
  const ledger = await openSqliteLedger({ file: join(folder, 'ledger.db') });
  return {
    ledger,
    end: async () => {
      await ledger.close();
      await rm(folder, { recursive: true });
    },
  };
};

let engine = sqlite;

/**
 * What the tests of the commands and invariants run on. They stand beside the commands and run on SQLite; the integration
 * tests run the same ones on PostgreSQL, which needs a server.
 */
export const openTestLedger = (): Promise<TestLedger> => engine();

export const testWith = (open: () => Promise<TestLedger>): void => {
  engine = open;
};
