import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { live } from '@outrider/operator/ledger/invariants/live';
import { lives } from '@outrider/operator/ledger/invariants/sequences';
import { createWorld } from '@outrider/operator/ledger/invariants/world';
import { openPostgresLedger } from '@outrider/operator/ledger/postgres/open';
import { openTestLedger, testWith } from '@outrider/operator/ledger/suite/engine';
import { repositoryRoot } from '../servers/paths.ts';
import { startPostgres, type Postgres } from '../servers/postgres.ts';

let postgres: Postgres;
beforeAll(async () => {
  postgres = await startPostgres();
});
afterAll(() => postgres.stop());

testWith(async () => {
  const ledger = await openPostgresLedger({ url: await postgres.createDatabase(), replica: 'a' });
  return { ledger, end: () => ledger.close() };
});

/** The tests that stand beside the commands, and run on SQLite there. */
const folder = join(repositoryRoot, 'operator', 'ledger', 'commands');
const files = readdirSync(folder).filter((name) => name.endsWith('.test.ts'));

describe('on PostgreSQL', () => {
  for (const file of files) {
    describe(file, async () => {
      await import(join(folder, file));
    });
  }

  test('no sequence of commands breaks the invariants of dispatch', { timeout: 180_000 }, async () => {
    const opened = await openTestLedger();
    await fc.assert(
      fc.asyncProperty(lives, async (sequence) => {
        await live(await createWorld(opened.ledger), sequence);
      }),
      // A sequence is a hundred commits or so, each of which waits for the disk. What ran until the limit counts.
      { numRuns: 15, interruptAfterTimeLimit: 120_000 },
    );
    await opened.end();
  });
});
