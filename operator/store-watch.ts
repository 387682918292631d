import type { Ledger } from './ledger/ledger.ts';
import type { LogStore } from './logs/contract.ts';

/** One failure may be a passing one of the disk; a store whose thread has died fails every time. */
const failuresAllowed = 3;

export interface StoreWatch {
  /** Rejects with what a store answered when it failed several times in a row: only a new process can go on. */
  readonly failed: Promise<never>;
  stop(): void;
}

const nobody = { task: 'none', epoch: 0 };

/**
 * Asks both stores for a sign of life. Each lives in a thread, whose end this process survives: it would go on polling and
 * answering that nothing can be done, healthy as seen from outside.
 * @param stores.everyMs Milliseconds between two questions. @default 5000
 */
export const watchStores = (stores: {
  readonly ledger: Pick<Ledger, 'diagnostics'>;
  readonly logs: Pick<LogStore, 'state'>;
  readonly everyMs?: number;
}): StoreWatch => {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  // Whoever waits for it is told; nobody has to.
  failed.catch(() => undefined);
  let failures = 0;
  let busy = false;

  const ask = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    try {
      await Promise.all([stores.ledger.diagnostics(), stores.logs.state(nobody)]);
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures >= failuresAllowed) reject(error);
    } finally {
      busy = false;
    }
  };

  const timer = setInterval(() => void ask(), stores.everyMs ?? 5000);
  return { failed, stop: () => clearInterval(timer) };
};
