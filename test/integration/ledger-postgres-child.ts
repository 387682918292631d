import { openPostgresLedger } from '@outrider/operator/ledger/postgres/open';

/**
 * Child of the crash test: records audit entries from several callers at once, and prints the number of each that was
 * answered. It never ends by itself.
 */
const url = process.argv[2];
if (url === undefined) throw new Error('usage: ledger-postgres-child URL [IDLE_TRANSACTION_MS]');
const idleTransactionMs = Number(process.argv[3] ?? 10_000);
const ledger = await openPostgresLedger({ url, replica: 'child', idleTransactionMs });
let number = 0;

const record = async (): Promise<never> => {
  for (;;) {
    number += 1;
    const mine = number;
    await ledger.audit({
      at: mine,
      actor: 'child',
      action: 'Count',
      object: 'counter',
      details: { number: mine },
    });
    process.stdout.write(`${mine}\n`);
  }
};
await Promise.all([record(), record(), record(), record()]);
