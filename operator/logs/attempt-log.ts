import { createHash, type Hash } from 'node:crypto';
import type { AttemptRef } from '@outrider/protocol';
import type { LogState } from './contract.ts';
import type { AttemptEntry, DayFile } from './day-file.ts';
import type { AssemblerState } from './line-assembler.ts';
import { LogFold } from './log-fold.ts';

/**
 * One attempt's log while it is worked on. Its memory (an incomplete frame, lines without end, the running SHA-256) can be
 * rebuilt from the file at any time, so it is dropped when a commit fails.
 */
export class AttemptLog {
  readonly ref: AttemptRef;
  readonly day: DayFile;
  #entry: AttemptEntry;
  readonly #fold: LogFold;
  /** Of the bytes up to `offset`; made when first needed. */
  #hash: Hash | undefined;

  constructor(ref: AttemptRef, day: DayFile, entry: AttemptEntry) {
    this.ref = ref;
    this.day = day;
    this.#entry = entry;
    const checkpoint = day.checkpointFor(entry.id, Number.MAX_SAFE_INTEGER);
    this.#fold = new LogFold(checkpoint);
    for (const bytes of day.bytes(entry.id, checkpoint.start)) this.#fold.take(bytes);
  }

  get id(): number {
    return this.#entry.id;
  }

  get offset(): number {
    return this.#entry.offset;
  }

  get lines(): AssemblerState {
    return this.#fold.lines;
  }

  get state(): LogState {
    return { offset: this.#entry.offset, lines: this.lines.next, end: this.#entry.end };
  }

  /** Its result's length was reached: no byte is taken any more. */
  get isSettled(): boolean {
    const { expected, offset } = this.#entry;
    return expected !== undefined && offset >= expected.length;
  }

  /** True when the stored bytes from `offset` on begin with these. */
  holds(offset: number, bytes: Uint8Array): boolean {
    let compared = 0;
    for (const stored of this.day.bytes(this.id, offset)) {
      const length = Math.min(stored.length, bytes.length - compared);
      if (Buffer.compare(stored.subarray(0, length), bytes.subarray(compared, compared + length)) !== 0)
        return false;
      compared += length;
      if (compared === bytes.length) return true;
    }
    return compared === bytes.length;
  }

  /**
   * Appends at the offset held.
   * @throws RangeError when the bytes are not frames; then nothing has changed.
   */
  append(bytes: Uint8Array, now: number): void {
    const hash = this.#runningHash();
    const due = this.#fold.take(bytes);
    this.day.append(this.id, this.offset, bytes);
    hash.update(bytes);
    for (const checkpoint of due) this.day.mark(this.id, checkpoint);
    this.#write({ ...this.#entry, offset: this.offset + bytes.length }, now);
  }

  /** The first expectation counts; the ledger records one result. */
  seal(expected: { length: number; sha256: string }, now: number): void {
    if (this.#entry.expected === undefined) this.#write({ ...this.#entry, expected }, now);
  }

  abandon(now: number): void {
    if (this.#entry.end === 'Open') this.#write({ ...this.#entry, end: 'Incomplete', endedAt: now }, now);
  }

  #write(entry: AttemptEntry, now: number): void {
    this.#entry = entry;
    const { expected, offset } = entry;
    if (expected !== undefined && offset >= expected.length) {
      const equal =
        offset === expected.length && this.#runningHash().copy().digest('hex') === expected.sha256;
      this.#entry = { ...entry, end: equal ? 'Complete' : 'Incomplete', endedAt: now };
    }
    this.day.update(this.#entry);
  }

  #runningHash(): Hash {
    if (this.#hash === undefined) {
      this.#hash = createHash('sha256');
      for (const bytes of this.day.bytes(this.id, 0)) this.#hash.update(bytes);
    }
    return this.#hash;
  }
}
