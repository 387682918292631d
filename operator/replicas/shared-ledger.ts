import type { Ledger } from '../ledger/ledger.ts';
import type { TaskRecord } from '../ledger/records.ts';

/** A ledger that several replicas of the operator have open. */
export interface SharedLedger extends Ledger {
  /**
   * Tasks that other replicas changed, as they are now, in an order that fits the answers to this replica's own commands. A
   * listener must not throw. Returns the unsubscribe function.
   */
  onChange(listener: (tasks: readonly TaskRecord[]) => void): () => void;
}
