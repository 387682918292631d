import type { AttemptRef, LogAnswer, LogChunk, StreamName } from '@outrider/protocol';

export interface LogLine {
  /** From 0 within the attempt. */
  readonly line: number;
  readonly stream: StreamName;
  /** Milliseconds since the Unix epoch, by the runner's clock. */
  readonly at: number;
  /** Without its line end; invalid UTF-8 is replaced. Lines over 16 KiB are cut into pieces. */
  readonly text: string;
  /** False while the line has not ended (a prompt, a progress bar): its text may still grow. */
  readonly complete: boolean;
}

export interface LogState {
  /** Bytes of framed log held. */
  readonly offset: number;
  readonly lines: number;
  /** Set once the result is known: `Complete` when length and SHA-256 agree. */
  readonly end: 'Open' | 'Complete' | 'Incomplete';
}

/** No step runs for so long: a log that has no end by then gets none (the operator ended before it could write it). */
export const openMs = 30 * 24 * 3_600_000;

/** Log bytes, apart from the ledger so that output cannot block claims. */
export interface LogStore {
  /**
   * Appends each chunk at exactly the offset held; answers after commit. A gap is answered with the offset held and
   * log_gap; an overlap with equal bytes is skipped, one that differs is log_conflict and changes nothing.
   */
  append(chunks: readonly LogChunk[]): Promise<readonly LogAnswer[]>;
  /** Compares with what the result says. May be called before the last bytes are there: then it settles when they are. */
  seal(ref: AttemptRef, expected: { length: number; sha256: string }): Promise<LogState>;
  /** No more bytes will come (the attempt is Lost). */
  abandon(ref: AttemptRef): Promise<void>;
  state(ref: AttemptRef): Promise<LogState>;
  lines(ref: AttemptRef, query: { from: number; limit: number }): Promise<readonly LogLine[]>;
  /** Payload bytes of stdout and stderr in the order of arrival, in pieces of at most 64 KiB. */
  raw(ref: AttemptRef, options?: { stream?: StreamName }): AsyncIterable<Uint8Array>;
  /** Called after each commit with the attempts that grew or ended; returns the unsubscribe function. */
  onCommit(listener: (refs: readonly AttemptRef[]) => void): () => void;
  /** Removes whole days whose attempts have all ended before this, or began `openMs` before it and got no end. */
  prune(before: number): Promise<void>;
  close(): Promise<void>;
}
