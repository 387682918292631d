import { afterAll, beforeAll, describe } from 'vitest';
import { openPostgresLedger } from '@outrider/operator/ledger/postgres/open';
import { testWith } from '@outrider/operator/ledger/suite/engine';
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

describe('on PostgreSQL', () => {
  describe('the commands of attempts', async () => {
    await import('@outrider/operator/ledger/commands/attempt-commands.test');
  });
  describe('the commands of runs', async () => {
    await import('@outrider/operator/ledger/commands/run-commands.test');
  });
  describe('the commands of identities', async () => {
    await import('@outrider/operator/ledger/commands/identity-commands.test');
  });
  describe('the invariants', async () => {
    await import('@outrider/operator/ledger/invariants/invariants.test');
  });
});
