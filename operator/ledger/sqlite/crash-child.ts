import { openSqliteLedger } from './open.ts';

/**
 * Child of the crash test: records audit entries one after the other, from several callers at once, and prints the number of
 * each that was answered. It never ends by itself.
 */
const file = process.argv[2];
if (file === undefined) throw new Error('usage: crash-child FILE');
const ledger = await openSqliteLedger({ file });
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
