import type { OutputMark } from '../journal/contract.ts';
import type { Redactor } from '../redaction/redactor.ts';
import { framePayload } from './frame-batch.ts';

/** A line that is not ended is passed on after this, so that prompts and progress are seen. */
const idleMs = 20;

const lineFeed = 0x0a;

/** Where a stream begins: at its source, or at a checkpoint behind which the log holds something already. */
export interface StreamStart {
  readonly mark: OutputMark;
  /** Redacted bytes of this stream that the log holds. */
  readonly logged: number;
}

/**
 * One output stream: redacted, then cut into frames at line ends, at 32 KiB, or where it paused. What redaction
 * withholds is no part of that: a pause never passes on the possible start of a secret.
 *
 * What redaction makes of a stream depends on its bytes alone, however they come. So after a restart the source is read
 * again from a checkpoint, and as much of the redacted output is dropped as the log holds behind it: no byte is there
 * twice, none is missing, and a secret that lies across the seam is found.
 */
export class StreamFramer {
  readonly #redactor: Redactor;
  readonly #emit: (payload: Uint8Array) => void;
  readonly #line = new Uint8Array(framePayload);
  #lineLength = 0;
  #idle: NodeJS.Timeout | undefined;
  #raw: number;
  #redacted: number;
  /** Redacted bytes that are in the log already. */
  #drop: number;
  #mark: OutputMark;

  constructor(redactor: Redactor, emit: (payload: Uint8Array) => void, { mark, logged }: StreamStart) {
    this.#redactor = redactor;
    this.#emit = emit;
    this.#mark = mark;
    this.#raw = mark.raw;
    this.#redacted = mark.redacted;
    this.#drop = Math.max(0, logged - mark.redacted);
  }

  write(bytes: Uint8Array): void {
    this.#raw += bytes.length;
    this.#take(this.#redactor.write(bytes));
  }

  end(): void {
    this.#take(this.#redactor.end());
    this.#flush();
  }

  /** Emits what is complete, and says from where the source would have to be read again. */
  checkpoint(): OutputMark {
    this.#flush();
    const withheld = this.#redactor.seam();
    if (withheld !== undefined && this.#drop === 0)
      this.#mark = { raw: this.#raw - withheld, redacted: this.#redacted };
    return this.#mark;
  }

  #take(redacted: Uint8Array): void {
    this.#redacted += redacted.length;
    const dropped = Math.min(this.#drop, redacted.length);
    this.#drop -= dropped;
    this.#push(redacted.subarray(dropped));
  }

  /** Emits what ends in a line feed, and whole payloads of what does not; keeps the rest. */
  #push(bytes: Uint8Array): void {
    const kept = this.#lineLength;
    const complete = bytes.lastIndexOf(lineFeed) + 1;
    if (complete === 0 && kept + bytes.length < framePayload) return this.#keep(bytes);
    const source = kept === 0 ? bytes : Buffer.concat([this.#line.subarray(0, kept), bytes]);
    this.#lineLength = 0;
    let at = 0;
    while (source.length - at >= framePayload) at += this.#emitWindow(source.subarray(at, at + framePayload));
    const end = complete === 0 ? 0 : kept + complete;
    if (end > at) at += this.#emitWindow(source.subarray(at, end));
    this.#keep(source.subarray(at));
  }

  /** Prefers to end a frame at a line end. */
  #emitWindow(window: Uint8Array): number {
    const lineEnd = window.lastIndexOf(lineFeed) + 1;
    const payload = lineEnd > 0 ? window.subarray(0, lineEnd) : window;
    this.#emit(payload);
    return payload.length;
  }

  #keep(rest: Uint8Array): void {
    if (rest.length === 0) return;
    this.#line.set(rest, this.#lineLength);
    this.#lineLength += rest.length;
    this.#idle ??= setTimeout(() => this.#flush(), idleMs);
  }

  #flush(): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    if (this.#lineLength > 0) this.#emit(this.#line.subarray(0, this.#lineLength));
    this.#lineLength = 0;
  }
}
