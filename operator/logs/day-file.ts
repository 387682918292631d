import type { DatabaseSync } from 'node:sqlite';
import type { AttemptRef, Frame } from '@outrider/protocol';
import { openDatabase } from '../ledger/sqlite/database.ts';
import { FrameReader } from './frame-reader.ts';
import { formatState, parseState } from './line-assembler.ts';
import { beginning, type Checkpoint } from './log-fold.ts';

/** `log_offset` is the framed length held; a checkpoint is the assembler's state at a frame's start. */
const schema = `
CREATE TABLE IF NOT EXISTS attempts (
  id INTEGER PRIMARY KEY,
  task TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  log_offset INTEGER NOT NULL,
  ending TEXT NOT NULL CHECK (ending IN ('Open', 'Complete', 'Incomplete')),
  expected_length INTEGER,
  expected_sha256 TEXT,
  ended_at REAL,
  UNIQUE (task, epoch),
  CHECK ((ending = 'Open') = (ended_at IS NULL))
) STRICT;
CREATE TABLE IF NOT EXISTS chunks (
  attempt INTEGER NOT NULL REFERENCES attempts (id),
  start INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (attempt, start)
) STRICT;
CREATE TABLE IF NOT EXISTS checkpoints (
  attempt INTEGER NOT NULL REFERENCES attempts (id),
  next_line INTEGER NOT NULL,
  start INTEGER NOT NULL,
  open TEXT NOT NULL,
  PRIMARY KEY (attempt, next_line, start)
) STRICT, WITHOUT ROWID;
PRAGMA user_version = 1;
`;

export interface AttemptEntry {
  readonly id: number;
  readonly offset: number;
  readonly end: 'Open' | 'Complete' | 'Incomplete';
  readonly expected: { readonly length: number; readonly sha256: string } | undefined;
  readonly endedAt: number | null;
}

interface Chunk {
  readonly start: number;
  readonly bytes: Uint8Array;
}

const prepareAll = (db: DatabaseSync) => ({
  find: db.prepare('SELECT * FROM attempts WHERE task = ? AND epoch = ?'),
  insert: db.prepare(
    "INSERT INTO attempts (task, epoch, log_offset, ending) VALUES (?, ?, 0, 'Open') RETURNING id",
  ),
  update: db.prepare(
    'UPDATE attempts SET log_offset = ?, ending = ?, expected_length = ?, expected_sha256 = ?, ended_at = ? WHERE id = ?',
  ),
  append: db.prepare('INSERT INTO chunks (attempt, start, bytes) VALUES (?, ?, ?)'),
  chunkAt: db.prepare(
    'SELECT start, bytes FROM chunks WHERE attempt = ? AND start <= ? ORDER BY start DESC LIMIT 1',
  ),
  mark: db.prepare('INSERT INTO checkpoints (attempt, next_line, start, open) VALUES (?, ?, ?, ?)'),
  marked: db.prepare(
    'SELECT next_line, start, open FROM checkpoints WHERE attempt = ? AND next_line <= ? ORDER BY next_line DESC, start DESC LIMIT 1',
  ),
  young: db.prepare('SELECT id FROM attempts WHERE ended_at >= ? LIMIT 1'),
  open: db.prepare('SELECT id FROM attempts WHERE ended_at IS NULL LIMIT 1'),
});

/** One UTC day's logs: those of the attempts whose first bytes came on that day. */
export class DayFile {
  readonly file: string;
  readonly #db: DatabaseSync;
  readonly #sql: ReturnType<typeof prepareAll>;

  constructor(file: string) {
    this.file = file;
    // Not checked whole: a day may hold gigabytes, and each log has its own SHA-256.
    this.#db = openDatabase(`log file ${file}`, file, { quickCheck: false });
    this.#db.exec(schema);
    this.#sql = prepareAll(this.#db);
  }

  /** Starts a transaction unless one is open. */
  begin(): void {
    if (!this.#db.isTransaction) this.#db.exec('BEGIN IMMEDIATE');
  }

  commit(): void {
    if (this.#db.isTransaction) this.#db.exec('COMMIT');
  }

  rollback(): void {
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
  }

  close(): void {
    this.#db.close();
  }

  find({ task, epoch }: AttemptRef): AttemptEntry | undefined {
    const row = this.#sql.find.get(task, epoch);
    if (row === undefined) return undefined;
    const { ending, expected_sha256: sha256 } = row;
    const expected =
      typeof sha256 === 'string' ? { length: Number(row['expected_length']), sha256 } : undefined;
    return {
      id: Number(row['id']),
      offset: Number(row['log_offset']),
      end: ending === 'Complete' || ending === 'Incomplete' ? ending : 'Open',
      expected,
      endedAt: row['ended_at'] === null ? null : Number(row['ended_at']),
    };
  }

  insert({ task, epoch }: AttemptRef): AttemptEntry {
    this.begin();
    const id = Number(this.#sql.insert.get(task, epoch)?.['id']);
    return { id, offset: 0, end: 'Open', expected: undefined, endedAt: null };
  }

  update(entry: AttemptEntry): void {
    this.begin();
    const { id, offset, end, expected, endedAt } = entry;
    this.#sql.update.run(offset, end, expected?.length ?? null, expected?.sha256 ?? null, endedAt, id);
  }

  append(attempt: number, start: number, bytes: Uint8Array): void {
    this.begin();
    this.#sql.append.run(attempt, start, bytes);
  }

  mark(attempt: number, { start, state }: Checkpoint): void {
    this.begin();
    this.#sql.mark.run(attempt, state.next, start, formatState(state));
  }

  /** The last checkpoint before the line starts; the beginning when there is none. */
  checkpointFor(attempt: number, line: number): Checkpoint {
    const row = this.#sql.marked.get(attempt, line);
    if (row === undefined) return beginning;
    return { start: Number(row['start']), state: parseState(Number(row['next_line']), String(row['open'])) };
  }

  /** The chunk that holds the byte at this offset. */
  #chunkAt(attempt: number, offset: number): Chunk | undefined {
    const row = this.#sql.chunkAt.get(attempt, offset);
    const bytes = row?.['bytes'];
    if (row === undefined || !(bytes instanceof Uint8Array)) return undefined;
    const start = Number(row['start']);
    return start + bytes.length > offset ? { start, bytes } : undefined;
  }

  /** Framed bytes from an offset to the end, in pieces as they were stored. */
  *bytes(attempt: number, from: number): Generator<Uint8Array> {
    let offset = from;
    for (
      let chunk = this.#chunkAt(attempt, offset);
      chunk !== undefined;
      chunk = this.#chunkAt(attempt, offset)
    ) {
      yield chunk.bytes.subarray(offset - chunk.start);
      offset = chunk.start + chunk.bytes.length;
    }
  }

  /** Whole frames from a frame's start. */
  *frames(attempt: number, from: number): Generator<Frame> {
    const reader = new FrameReader();
    for (const bytes of this.bytes(attempt, from)) yield* reader.push(bytes);
  }

  /** True when no attempt in it ended at or after this time. */
  isOlderThan(before: number): boolean {
    return this.#sql.young.get(before) === undefined;
  }

  /** True when the end of an attempt in it is not known. */
  hasOpen(): boolean {
    return this.#sql.open.get() !== undefined;
  }
}
