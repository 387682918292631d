import type { Ledger } from './ledger/ledger.ts';
import type { LogStore } from './logs/contract.ts';

export interface PrunerOptions {
  readonly ledger: Pick<Ledger, 'prune'>;
  readonly logs: Pick<LogStore, 'prune'>;
  readonly now: () => number;
  readonly onError: (error: unknown) => void;
}

/** History and logs of finished runs are kept this long; so are the tombstones that keep a run from running twice. */
export const retentionMs = 30 * 24 * 3_600_000;
const everyMs = 3_600_000;

/** Removes once an hour what is older than the retention. Open runs are never touched, whatever their age. */
export const startPruner = ({
  ledger,
  logs,
  now,
  onError,
}: PrunerOptions): { prune(): Promise<void>; stop(): void } => {
  const prune = async (): Promise<void> => {
    const before = now() - retentionMs;
    try {
      await ledger.prune({ now: now(), runsOlderThan: before });
      await logs.prune(before);
    } catch (error) {
      onError(error);
    }
  };
  const timer = setInterval(() => void prune(), everyMs);
  timer.unref();
  return { prune, stop: () => clearInterval(timer) };
};
