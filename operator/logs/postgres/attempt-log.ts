import { createHash, type Hash } from 'node:crypto';
import type { AttemptRef } from '@outrider/protocol';
import type { LogState } from '../contract.ts';
import type { IngestTarget } from '../ingest.ts';
import { beginning, LogFold, type Checkpoint } from '../log-fold.ts';
import { chunkBytes, type LogRow, type NewCheckpoint, type NewChunk } from './rows.ts';

/** What this replica knows of a row, and how to get at its bytes. */
export interface Source {
  readonly row: LogRow;
  bytes(from: number, to: number): AsyncIterable<Uint8Array>;
  /** The last one. */
  checkpoint(): Promise<Checkpoint>;
}

interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

/**
 * One attempt's log while a group of calls works on it. What it remembers between groups (an incomplete frame, the running
 * SHA-256) is brought up to date with what other replicas appended in between.
 */
export class PostgresLog implements IngestTarget {
  #row: LogRow;
  readonly #fold: LogFold;
  /** Of all bytes up to `#fold.offset`; undefined where they were not seen from the beginning. */
  #hash: Hash | undefined;
  /** Bytes before the offset that chunks of this group overlap with. */
  #known: Piece[] = [];
  #fresh: Piece[] = [];
  #checkpoints: Checkpoint[] = [];
  #isChanged = false;

  private constructor(row: LogRow, fold: LogFold) {
    this.#row = row;
    this.#fold = fold;
    if (fold.offset === 0) this.#hash = createHash('sha256');
  }

  static async load(source: Source): Promise<PostgresLog> {
    const { row } = source;
    const from = row.offset === 0 ? beginning : await source.checkpoint();
    const log = new PostgresLog(row, new LogFold(from));
    await log.#catchUp(source);
    return log;
  }

  get ref(): AttemptRef {
    return this.#row.ref;
  }

  get offset(): number {
    return this.#row.offset;
  }

  get isSettled(): boolean {
    const { expected, offset } = this.#row;
    return expected !== undefined && offset >= expected.length;
  }

  get state(): LogState {
    return { offset: this.#row.offset, lines: this.#row.lines.next, end: this.#row.end };
  }

  /** False when the row is another one or older than what is known: then it has to be loaded. */
  async refresh(source: Source): Promise<boolean> {
    if (source.row.id !== this.#row.id || source.row.offset < this.#fold.offset) return false;
    this.#row = source.row;
    await this.#catchUp(source);
    return true;
  }

  /** What the calls of this group will need beyond the row. */
  async prepare(
    source: Source,
    need: { readonly overlapFrom: number; readonly hash: boolean },
  ): Promise<void> {
    let at = need.overlapFrom;
    if (at < this.offset)
      for await (const bytes of source.bytes(at, this.offset)) {
        this.#known.push({ start: at, bytes });
        at += bytes.length;
      }
    if (this.#hash === undefined && (need.hash || this.#row.expected !== undefined))
      this.#hash = await hashOf(source.bytes(0, this.offset));
  }

  holds(offset: number, bytes: Uint8Array): boolean {
    let compared = 0;
    for (const { start, bytes: stored } of [...this.#known, ...this.#fresh]) {
      if (compared === bytes.length) break;
      const part = stored.subarray(Math.max(0, offset + compared - start));
      const length = Math.min(part.length, bytes.length - compared);
      if (Buffer.compare(part.subarray(0, length), bytes.subarray(compared, compared + length)) !== 0)
        return false;
      compared += length;
    }
    return compared === bytes.length;
  }

  append(bytes: Uint8Array, now: number): void {
    this.#checkpoints.push(...this.#fold.take(bytes));
    this.#hash?.update(bytes);
    this.#fresh.push({ start: this.offset, bytes });
    this.#write({ offset: this.offset + bytes.length, lines: this.#fold.lines }, now);
  }

  /** The first expectation counts; the ledger records one result. */
  seal(expected: { length: number; sha256: string }, now: number): void {
    if (this.#row.expected === undefined) this.#write({ expected }, now);
  }

  abandon(now: number): void {
    if (this.#row.end === 'Open') this.#write({ end: 'Incomplete', endedAt: now }, now);
  }

  /** What this group has to write; undefined when nothing changed. Forgets it, and what it was compared with. */
  takeChanges(): { row: LogRow; chunks: NewChunk[]; checkpoints: NewCheckpoint[] } | undefined {
    const [place, fresh, due, isChanged] = [this.#row, this.#fresh, this.#checkpoints, this.#isChanged];
    [this.#known, this.#fresh, this.#checkpoints, this.#isChanged] = [[], [], [], false];
    if (!isChanged) return undefined;
    return {
      row: this.#row,
      chunks: joined(fresh).map((piece) => ({ place, ...piece })),
      checkpoints: due.map((checkpoint) => ({ place, checkpoint })),
    };
  }

  async #catchUp(source: Source): Promise<void> {
    for await (const bytes of source.bytes(this.#fold.offset, source.row.offset)) {
      this.#fold.take(bytes);
      this.#hash?.update(bytes);
    }
  }

  #write(change: Partial<LogRow>, now: number): void {
    this.#isChanged = true;
    this.#row = { ...this.#row, ...change };
    const { expected, offset } = this.#row;
    if (expected === undefined || offset < expected.length) return;
    const equal = offset === expected.length && this.#hash?.copy().digest('hex') === expected.sha256;
    this.#row = { ...this.#row, end: equal ? 'Complete' : 'Incomplete', endedAt: now };
  }
}

const hashOf = async (pieces: AsyncIterable<Uint8Array>): Promise<Hash> => {
  const hash = createHash('sha256');
  for await (const bytes of pieces) hash.update(bytes);
  return hash;
};

/** Pieces that follow each other, as few and as large as may be stored. */
const joined = (pieces: readonly Piece[]): Piece[] => {
  const [first] = pieces;
  if (first === undefined) return [];
  const all = Buffer.concat(pieces.map(({ bytes }) => bytes));
  const chunks: Piece[] = [];
  for (let at = 0; at < all.length; at += chunkBytes)
    chunks.push({ start: first.start + at, bytes: all.subarray(at, at + chunkBytes) });
  return chunks;
};
