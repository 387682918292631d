import type { AttemptRef, TaskResult, TaskSpec } from '@outrider/protocol';
import type { Handle, ShownHostKey, StopReason } from '@outrider/nodes/contract';
import type { OutputProgress } from '../journal/contract.ts';

/** An attempt that an earlier process of this runner started, and what the journal has of its output. */
export interface Resumption {
  readonly handle: Handle;
  /** RFC 3339; the timeout counts from here. */
  readonly startedAt: string;
  /** The last checkpoint: output is read again from there. */
  readonly progress: OutputProgress;
  /** What the log holds: whole frames, and redacted bytes of each stream. */
  readonly logged: { readonly frames: number; readonly stdout: number; readonly stderr: number };
}

/** Asks the operator for the key on record, and has it record this one if there is none. */
export type LearnHostKey = (shown: ShownHostKey) => Promise<string>;

export interface ExecutionRequest extends AttemptRef {
  readonly spec: TaskSpec;
  /** Fields of the credential; the host builds the attempt's redactor from all values except `username`. */
  readonly credential?: Readonly<Record<string, string>>;
  /** Present: nothing is started; the executor goes on with what runs. */
  readonly resume?: Resumption;
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
  execute(
    request: ExecutionRequest,
    onEntry?: (at: number) => void,
    learnHostKey?: LearnHostKey,
  ): Promise<TaskResult>;
  /** Aborts the executor's signal. No effect on an attempt that has ended. */
  stop(ref: AttemptRef, reason: StopReason): void;
  /** Its result is journalled, or no longer wanted: what the executor kept for a restart may go. */
  settled(ref: AttemptRef): void;
  /** Ends what an earlier process of this runner left running; true when it is surely gone. */
  reap(node: string, handle: Readonly<Record<string, string | number>>): Promise<boolean>;
  /** Removes what an attempt whose result is journalled may have left for a restart; true when that is surely done. */
  tidy(request: ExecutionRequest, handle: Handle): Promise<boolean>;
  /** True while it has no thread: before the first work, and after a while without any. */
  readonly resting: boolean;
  /** Attempts inside. */
  readonly size: number;
  close(): Promise<void>;
}
