import { Closed, Flag, Integer, List, Text, type Static } from '@outrider/schema';
import { Envelope, maxBatch } from './messages.ts';
import { AttemptRef, TaskResult } from './task.ts';

/** A result that the runner's journal keeps for seven days after its acknowledgement. */
export const RecoveredResult = Closed({
  ...AttemptRef.properties,
  generation: Text({ maxLength: 64 }),
  result: TaskResult,
});
export type RecoveredResult = Static<typeof RecoveredResult>;
/** Handed in batch by batch when `recovering` is set; `complete` with the last. */
export const RecoveryRequest = Closed({
  ...Envelope,
  items: List(RecoveredResult, { maxItems: maxBatch }),
  complete: Flag(),
});
export type RecoveryRequest = Static<typeof RecoveryRequest>;
export const RecoveryResponse = Closed({
  /** Results that ended a task which the restored ledger had open. */
  accepted: Integer({ minimum: 0, maximum: maxBatch }),
});
export type RecoveryResponse = Static<typeof RecoveryResponse>;
