import type { AttemptRef, TaskResult, TaskSpec } from '@outrider/protocol';
import type { StopReason } from '@outrider/nodes/contract';

export interface ExecutionRequest extends AttemptRef {
  readonly spec: TaskSpec;
  /** Fields of the credential; the host builds the attempt's redactor from all values except `username`. */
  readonly credential?: Readonly<Record<string, string>>;
}

/**
 * Runs attempts in a worker thread, so that key exchange, parsing or a hot loop in an executor cannot delay polls and
 * lease renewal. Output goes executor → redactor → frames → journal; the journal's back-pressure reaches the executor.
 */
export interface ExecutionHost {
  /** Work is about to come: an offer has arrived. The thread starts while the offer is accepted. */
  prepare(): void;
  /**
   * Resolves with the result, log sealed, never rejects: what goes wrong inside becomes a Failed result. The caller has
   * journalled `started` already. `onEntry` is called when the executor is entered (performance.timeOrigin + now, in ms).
   */
  execute(request: ExecutionRequest, onEntry?: (at: number) => void): Promise<TaskResult>;
  /** Aborts the executor's signal. No effect on an attempt that has ended. */
  stop(ref: AttemptRef, reason: StopReason): void;
  /** Ends what an earlier process of this runner left running; true when it is surely gone. */
  reap(node: string, handle: Readonly<Record<string, string | number>>): Promise<boolean>;
  /** True while it has no thread: before the first work, and after a while without any. */
  readonly resting: boolean;
  /** Attempts inside. */
  readonly size: number;
  close(): Promise<void>;
}
