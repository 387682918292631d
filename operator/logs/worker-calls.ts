import type { AttemptRef, LogAnswer, LogChunk, StreamName } from '@outrider/protocol';
import type { LogLine, LogState } from './contract.ts';
import type { RawPage } from './read-log.ts';

/** What the store's client asks its worker for; `now` is the client's clock. */
export interface WorkerCalls {
  append(chunks: readonly LogChunk[], now: number): readonly LogAnswer[];
  seal(ref: AttemptRef, expected: { length: number; sha256: string }, now: number): LogState;
  abandon(ref: AttemptRef, now: number): void;
  state(ref: AttemptRef): LogState;
  lines(ref: AttemptRef, query: { from: number; limit: number }): readonly LogLine[];
  raw(ref: AttemptRef, from: number, stream: StreamName | undefined): RawPage;
  prune(before: number): void;
}

/** Told after each commit that changed something. */
export interface CommitEvent {
  readonly refs: readonly AttemptRef[];
}
