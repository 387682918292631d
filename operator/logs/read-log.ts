import { frameHeaderBytes, type Frame, type StreamName } from '@outrider/protocol';
import type { AttemptLog } from './attempt-log.ts';
import type { LogLine } from './contract.ts';
import { LineAssembler, type AssemblerState, type OpenLine } from './line-assembler.ts';

const decoder = new TextDecoder();

const toLine = ({ line, stream, at, bytes }: OpenLine, complete: boolean): LogLine => ({
  line,
  stream,
  at,
  text: decoder.decode(bytes),
  complete,
});

export interface LineQuery {
  readonly from: number;
  readonly limit: number;
}

/** One page of lines: what still grows is known from the log's end, the others are decoded from a checkpoint on. */
export class LinePage {
  readonly #query: LineQuery;
  readonly #found: LogLine[];
  readonly #wanted: number;

  /** @param log.isOpen More bytes may come. */
  constructor(query: LineQuery, log: { readonly lines: AssemblerState; readonly isOpen: boolean }) {
    this.#query = query;
    const { next, open } = log.lines;
    this.#found = open.filter((line) => this.#isAsked(line)).map((line) => toLine(line, !log.isOpen));
    this.#wanted = Math.max(0, Math.min(query.from + query.limit, next) - query.from);
  }

  get isFull(): boolean {
    return this.#found.length >= this.#wanted;
  }

  /** Feed it with frames from the checkpoint of this state on, until the page is full. */
  assembler(state: AssemblerState): LineAssembler {
    return new LineAssembler((line) => {
      if (this.#isAsked(line)) this.#found.push(toLine(line, true));
    }, state);
  }

  get lines(): readonly LogLine[] {
    return this.#found.toSorted((a, b) => a.line - b.line);
  }

  #isAsked({ line }: { line: number }): boolean {
    return line >= this.#query.from && line < this.#query.from + this.#query.limit;
  }
}

/** From the checkpoint before the first line asked for, until the last one has its end. */
export const readLines = (log: AttemptLog, query: LineQuery): readonly LogLine[] => {
  const page = new LinePage(query, { lines: log.lines, isOpen: log.state.end === 'Open' });
  if (page.isFull) return page.lines;
  const checkpoint = log.day.checkpointFor(log.id, query.from);
  const lines = page.assembler(checkpoint.state);
  for (const frame of log.day.frames(log.id, checkpoint.start)) {
    lines.push(frame);
    if (page.isFull) break;
  }
  return page.lines;
};

/** Largest piece of payload handed out. */
const pieceBytes = 65_536;
/** Payload that is joined before it is cut into pieces. */
export const pageBytes = 4 * pieceBytes;

/** Which frames are the answer when this stream, or the output as a whole, is asked for. */
export const isOutput = (frame: Frame, stream: StreamName | undefined): boolean =>
  stream === undefined ? frame.stream === 'stdout' || frame.stream === 'stderr' : frame.stream === stream;

export const inPieces = (payloads: readonly Uint8Array[]): Uint8Array[] => {
  const joined = Buffer.concat(payloads);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < joined.length; at += pieceBytes) pieces.push(joined.subarray(at, at + pieceBytes));
  return pieces;
};

export interface RawPage {
  readonly pieces: readonly Uint8Array[];
  /** Offset of the next frame in the framed stream. */
  readonly next: number;
}

/** Payload of stdout and stderr, or of one stream, from a frame's start on; a page without pieces is the end. */
export const readRaw = (log: AttemptLog, from: number, stream: StreamName | undefined): RawPage => {
  const payloads: Uint8Array[] = [];
  let next = from;
  let size = 0;
  for (const frame of log.day.frames(log.id, from)) {
    next += frameHeaderBytes + frame.payload.length;
    if (!isOutput(frame, stream)) continue;
    payloads.push(frame.payload);
    size += frame.payload.length;
    if (size >= pageBytes) break;
  }
  return { pieces: inPieces(payloads), next };
};
