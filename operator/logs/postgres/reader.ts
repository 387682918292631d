import type { Pool } from 'pg';
import type { AttemptRef, Frame, StreamName } from '@outrider/protocol';
import type { LogLine, LogState } from '../contract.ts';
import { FrameReader } from '../frame-reader.ts';
import { inPieces, isOutput, LinePage, pageBytes, type LineQuery } from '../read-log.ts';
import { logStoreFailure } from './failures.ts';
import { findCheckpoint, findRow, readBytes } from './rows.ts';

const unknown: LogState = { offset: 0, lines: 0, end: 'Open' };

/** What a log holds now: bytes that come while it is read are left to the next call. */
export const readState = async (pool: Pool, ref: AttemptRef): Promise<LogState> => {
  const row = await findRow(pool, ref).catch(fail);
  return row === undefined ? unknown : { offset: row.offset, lines: row.lines.next, end: row.end };
};

export const readLines = async (
  pool: Pool,
  ref: AttemptRef,
  query: LineQuery,
): Promise<readonly LogLine[]> => {
  const row = await findRow(pool, ref).catch(fail);
  if (row === undefined) return [];
  const page = new LinePage(query, { lines: row.lines, isOpen: row.end === 'Open' });
  if (page.isFull) return page.lines;
  const checkpoint = await findCheckpoint(pool, row, query.from).catch(fail);
  const lines = page.assembler(checkpoint.state);
  const reader = new FrameReader();
  try {
    for await (const bytes of readBytes(pool, row, { from: checkpoint.start, to: row.offset })) {
      for (const frame of reader.push(bytes)) lines.push(frame);
      if (page.isFull) break;
    }
  } catch (error) {
    fail(error);
  }
  return page.lines;
};

/** Joins what the frames carry until it is worth to be cut into pieces. */
class Payloads {
  readonly #stream: StreamName | undefined;
  #held: Uint8Array[] = [];
  #size = 0;

  constructor(stream: StreamName | undefined) {
    this.#stream = stream;
  }

  add(frames: readonly Frame[]): void {
    for (const frame of frames) {
      if (!isOutput(frame, this.#stream)) continue;
      this.#held.push(frame.payload);
      this.#size += frame.payload.length;
    }
  }

  get isPage(): boolean {
    return this.#size >= pageBytes;
  }

  take(): Uint8Array[] {
    const pieces = inPieces(this.#held);
    [this.#held, this.#size] = [[], 0];
    return pieces;
  }
}

/** Payload in pieces, read as fast as they are taken. */
export async function* readRaw(
  pool: Pool,
  ref: AttemptRef,
  stream: StreamName | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    const row = await findRow(pool, ref);
    if (row === undefined) return;
    const reader = new FrameReader();
    const payloads = new Payloads(stream);
    for await (const bytes of readBytes(pool, row, { from: 0, to: row.offset })) {
      payloads.add(reader.push(bytes));
      if (payloads.isPage) yield* payloads.take();
    }
    yield* payloads.take();
  } catch (error) {
    fail(error);
  }
}

const fail = (error: unknown): never => {
  throw logStoreFailure(error);
};
