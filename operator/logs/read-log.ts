import type { StreamName } from '@outrider/protocol';
import { frameHeaderBytes } from '@outrider/protocol';
import type { AttemptLog } from './attempt-log.ts';
import type { LogLine } from './contract.ts';
import { LineAssembler, type OpenLine } from './line-assembler.ts';

const decoder = new TextDecoder();

const toLine = ({ line, stream, at, bytes }: OpenLine, complete: boolean): LogLine => ({
  line,
  stream,
  at,
  text: decoder.decode(bytes),
  complete,
});

/** From the checkpoint before the first line asked for, until the last one has its end. */
export const readLines = (
  log: AttemptLog,
  { from, limit }: { from: number; limit: number },
): readonly LogLine[] => {
  const isAsked = ({ line }: { line: number }): boolean => line >= from && line < from + limit;
  const { next, open } = log.lines;
  const growing = open.filter(isAsked);
  const ended = Math.max(0, Math.min(from + limit, next) - from) - growing.length;

  const found: LogLine[] = growing.map((line) => toLine(line, log.state.end !== 'Open'));
  if (ended === 0) return found;
  const wanted = ended + growing.length;
  const checkpoint = log.day.checkpointFor(log.id, from);
  const lines = new LineAssembler((line) => {
    if (isAsked(line)) found.push(toLine(line, true));
  }, checkpoint.state);
  for (const frame of log.day.frames(log.id, checkpoint.start)) {
    lines.push(frame);
    if (found.length === wanted) break;
  }
  return found.sort((a, b) => a.line - b.line);
};

/** Largest piece of payload handed out. */
const pieceBytes = 65_536;
/** Pieces handed out in one answer of the worker. */
const pageBytes = 4 * pieceBytes;

export interface RawPage {
  readonly pieces: readonly Uint8Array[];
  /** Offset of the next frame in the framed stream. */
  readonly next: number;
}

/** Payload of stdout and stderr, or of one stream, from a frame's start on; a page without pieces is the end. */
export const readRaw = (log: AttemptLog, from: number, stream: StreamName | undefined): RawPage => {
  const isAsked = (name: StreamName): boolean =>
    stream === undefined ? name === 'stdout' || name === 'stderr' : name === stream;
  const payloads: Uint8Array[] = [];
  let next = from;
  let size = 0;
  for (const frame of log.day.frames(log.id, from)) {
    next += frameHeaderBytes + frame.payload.length;
    if (!isAsked(frame.stream)) continue;
    payloads.push(frame.payload);
    size += frame.payload.length;
    if (size >= pageBytes) break;
  }
  const joined = Buffer.concat(payloads);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < joined.length; at += pieceBytes) pieces.push(joined.subarray(at, at + pieceBytes));
  return { pieces, next };
};
