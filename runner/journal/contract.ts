import type { AttemptRef, TaskResult, TaskSpec } from '@outrider/protocol';

/** A point in one stream: bytes as the source wrote them, and what redaction made of these. */
export interface OutputMark {
  readonly raw: number;
  readonly redacted: number;
}

/** Up to here the output need not be read from its source again. */
export interface OutputProgress {
  readonly stdout: OutputMark;
  readonly stderr: OutputMark;
}

/** What the journal knows of one attempt, rebuilt from disk when the runner starts. */
export interface JournalledAttempt extends AttemptRef {
  /** Ledger generation under which it was accepted. */
  readonly generation: string;
  readonly spec: TaskSpec;
  readonly state: 'Accepted' | 'Started' | 'Finished' | 'Acknowledged';
  /** As journalled by `started`; RFC 3339. */
  readonly startedAt?: string;
  /** By which a restarted runner finds what the attempt left running. */
  readonly handle?: Readonly<Record<string, string | number>>;
  /** The last checkpoint of its output; absent before the first. */
  readonly progress?: OutputProgress;
  readonly result?: TaskResult;
  /** Bytes of framed log on disk. */
  readonly logLength: number;
}

/**
 * The runner's own record of what it took on. Every method that changes state resolves after fsync (group commit: calls
 * that wait together share one), except `append`, which resolves when the bytes are taken and slows down under pressure.
 * Secrets never enter it.
 */
export interface Journal {
  attempts(): readonly JournalledAttempt[];
  /** Before `accept` is sent. Reserves log space for the slot; refuses with JournalFull when there is none. */
  accepted(ref: AttemptRef, record: { generation: string; spec: TaskSpec }): Promise<void>;
  /** Before the first side effect. */
  started(ref: AttemptRef, startedAt: string): Promise<void>;
  handle(ref: AttemptRef, handle: Readonly<Record<string, string | number>>): Promise<void>;
  /** After all that was appended can be read, or was dropped for lack of space: no checkpoint is ahead of its log. */
  checkpoint(ref: AttemptRef, progress: OutputProgress): Promise<void>;
  /** Appends whole frames, already redacted. Beyond the slot's space they are dropped and a gap frame says how much. */
  append(ref: AttemptRef, frames: Uint8Array): Promise<void>;
  /** Resolves when all appended bytes are on disk: {length, sha256} of the framed log, as a result carries them. */
  sealLog(ref: AttemptRef): Promise<{ length: number; sha256: string }>;
  logLength(ref: AttemptRef): number;
  readLog(ref: AttemptRef, offset: number, maxBytes: number): Promise<Uint8Array>;
  /** Calls `listener` whenever bytes were appended to any attempt; returns the unsubscribe function. */
  onAppend(listener: (ref: AttemptRef) => void): () => void;
  finished(ref: AttemptRef, result: TaskResult): Promise<void>;
  /** The operator has result and log: the result is kept for 7 days, as far as there is room, without what was asked for. */
  acknowledged(ref: AttemptRef): Promise<void>;
  /** An offer that was declined, released or abandoned. */
  forget(ref: AttemptRef): Promise<void>;
  /** True when less than a tenth of the space is left: the runner reports itself degraded. */
  nearlyFull(): boolean;
  /** True when the file system has no room for the records of another attempt: nothing new is to be accepted. */
  full(): boolean;
  close(): Promise<void>;
}
