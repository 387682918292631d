import { streams, type Frame, type StreamName } from '@outrider/protocol';

/** A longer line is cut into pieces, so that neither a reader's memory nor a page is unbounded. */
export const maxLineBytes = 16_384;

const newline = 10;
const carriageReturn = 13;

/** A line whose end has not come yet. */
export interface OpenLine {
  readonly line: number;
  readonly stream: StreamName;
  readonly at: number;
  readonly bytes: Uint8Array;
}

/** Everything that the next frame's lines depend on. */
export interface AssemblerState {
  readonly next: number;
  readonly open: readonly OpenLine[];
}

export const initialState: AssemblerState = { next: 0, open: [] };

/** A message of the runner itself is whole, with or without a newline. */
const wholeFrames: ReadonlySet<StreamName> = new Set(['system', 'gap']);

/** Where to cut so that no UTF-8 sequence is split; at the end when the bytes are not UTF-8 there. */
const cutPoint = (bytes: Uint8Array, nextByte: number): number => {
  const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;
  if (!isContinuation(nextByte)) return bytes.length;
  for (let at = bytes.length - 1; at >= bytes.length - 3; at -= 1) {
    if (!isContinuation(bytes[at] ?? 0)) return at;
  }
  return bytes.length;
};

const withoutCarriageReturn = (bytes: Uint8Array): Uint8Array =>
  bytes.at(-1) === carriageReturn ? bytes.subarray(0, -1) : bytes;

/**
 * Makes lines of frames, each stream on its own. A line has its number from its first byte on, so that a line which is
 * still growing keeps its number while another stream goes on.
 */
export class LineAssembler {
  readonly #onLine: ((line: OpenLine) => void) | undefined;
  readonly #open = new Map<StreamName, OpenLine>();
  #next: number;

  constructor(onLine?: (line: OpenLine) => void, state = initialState) {
    this.#onLine = onLine;
    this.#next = state.next;
    for (const line of state.open) this.#open.set(line.stream, line);
  }

  get next(): number {
    return this.#next;
  }

  get state(): AssemblerState {
    return { next: this.#next, open: [...this.#open.values()] };
  }

  push({ stream, ts, payload }: Frame): void {
    const at = Number(ts) / 1000;
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    let isOpen = this.#open.has(stream);
    let start = 0;
    while (start < bytes.length) {
      const found = payload.indexOf(newline, start);
      const end = found < 0 ? bytes.length : found;
      if (found < 0 || isOpen || end - start > maxLineBytes) {
        this.#extend(stream, at, bytes.subarray(start, end));
        if (found >= 0) this.#complete(stream);
      } else this.#pass(stream, at, () => bytes.subarray(start, end));
      isOpen = false;
      start = end + 1;
    }
    if (wholeFrames.has(stream)) this.#complete(stream);
    this.#keepCopy(stream);
  }

  /** A line that begins and ends within one frame: of most only the number is needed, by whoever stores them. */
  #pass(stream: StreamName, at: number, read: () => Uint8Array): void {
    const line = this.#next;
    this.#next += 1;
    this.#onLine?.({ line, stream, at, bytes: withoutCarriageReturn(read()) });
  }

  #extend(stream: StreamName, at: number, bytes: Uint8Array): void {
    const open = this.#open.get(stream) ?? this.#begin(stream, at, new Uint8Array());
    const joined = open.bytes.length === 0 ? bytes : Buffer.concat([open.bytes, bytes]);
    let line = open;
    let rest = joined;
    while (rest.length > maxLineBytes) {
      const cut = cutPoint(rest.subarray(0, maxLineBytes), rest[maxLineBytes] ?? 0);
      this.#onLine?.({ ...line, bytes: rest.subarray(0, cut) });
      rest = rest.subarray(cut);
      line = this.#begin(stream, at, rest);
    }
    this.#open.set(stream, { ...line, bytes: rest });
  }

  #begin(stream: StreamName, at: number, bytes: Uint8Array): OpenLine {
    const line = { line: this.#next, stream, at, bytes };
    this.#next += 1;
    return line;
  }

  #complete(stream: StreamName): void {
    const line = this.#open.get(stream);
    if (line === undefined) return;
    this.#open.delete(stream);
    this.#onLine?.({ ...line, bytes: withoutCarriageReturn(line.bytes) });
  }

  /** What stays open must not keep the whole chunk that it came in. */
  #keepCopy(stream: StreamName): void {
    const line = this.#open.get(stream);
    if (line !== undefined) this.#open.set(stream, { ...line, bytes: line.bytes.slice() });
  }
}

/** As JSON, for a checkpoint. */
export const formatState = (state: AssemblerState): string =>
  JSON.stringify(
    state.open.map((line) => [line.line, line.stream, line.at, Buffer.from(line.bytes).toString('base64')]),
  );

type Stored = [line: number, stream: StreamName, at: number, bytes: string];

export const parseState = (next: number, text: string): AssemblerState => {
  const stored: Stored[] = JSON.parse(text);
  return {
    next,
    open: stored
      .filter(([, stream]) => stream in streams)
      .map(([line, stream, at, bytes]) => ({ line, stream, at, bytes: Buffer.from(bytes, 'base64') })),
  };
};
