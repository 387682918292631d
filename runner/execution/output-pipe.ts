import type { StreamName } from '@outrider/protocol';
import type { OutputSink } from '@outrider/nodes/contract';
import type { Redactor, SecretSet } from '../redaction/redactor.ts';
import { batchBytes, FrameBatch, framePayload } from './frame-batch.ts';

/** A line that is not ended is passed on after this, so that prompts and progress are seen. */
const idleMs = 20;

/** Most framed bytes of one attempt between the executor and the journal. */
export const inFlightLimit = 524_288;

/** Longest note, in UTF-16 units. */
const noteLimit = 4096;

const lineFeed = 0x0a;

export interface OutputPipeOptions {
  readonly secrets: SecretSet;
  /** Passes frames on; `credit` is called with their length when they were taken. */
  readonly post: (frames: Uint8Array<ArrayBuffer>) => void;
  /** Microseconds since the Unix epoch. */
  readonly now: () => number;
}

/**
 * One output stream: redacted, then cut into frames at line ends, at 32 KiB, or where it paused. What redaction
 * withholds is no part of that: a pause never passes on the possible start of a secret.
 */
class StreamFramer {
  readonly #redactor: Redactor;
  readonly #emit: (payload: Uint8Array) => void;
  readonly #line = new Uint8Array(framePayload);
  #lineLength = 0;
  #idle: NodeJS.Timeout | undefined;

  constructor(redactor: Redactor, emit: (payload: Uint8Array) => void) {
    this.#redactor = redactor;
    this.#emit = emit;
  }

  write(bytes: Uint8Array): void {
    this.#push(this.#redactor.write(bytes));
  }

  end(): void {
    this.#push(this.#redactor.end());
    this.#flush();
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

/**
 * Output of one attempt on its way to the journal. A first frame is posted at the end of the turn in which it came;
 * while frames are on their way, more gather into one batch. So a lone line is fast and a flood costs few messages.
 */
export class OutputPipe {
  readonly stdout: OutputSink;
  readonly stderr: OutputSink;
  readonly #options: OutputPipeOptions;
  readonly #framers: StreamFramer[] = [];
  readonly #batch = new FrameBatch();
  #inFlight = 0;
  #scheduled = false;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(options: OutputPipeOptions) {
    this.#options = options;
    this.stdout = this.#sink('stdout');
    this.stderr = this.#sink('stderr');
  }

  /** A line by the product itself. */
  note(line: string): Promise<void> {
    if (this.#ended) return Promise.resolve();
    this.#emitNote(line);
    return this.#mayGoOn();
  }

  /** So many posted bytes were taken. */
  credit(bytes: number): void {
    this.#inFlight -= bytes;
    if (this.#inFlight === 0 && this.#batch.length > 0) this.#post();
    if (!this.#isFull()) this.#release();
  }

  /** Posts everything, withheld bytes too, and then the last note if there is one. Later writes go nowhere. */
  end(lastNote?: string): void {
    if (this.#ended) return;
    for (const framer of this.#framers) framer.end();
    if (lastNote !== undefined) this.#emitNote(lastNote);
    this.#ended = true;
    this.#post();
    this.#release();
  }

  #sink(stream: StreamName): OutputSink {
    const framer = new StreamFramer(this.#options.secrets.stream(), (payload) => this.#emit(stream, payload));
    this.#framers.push(framer);
    return {
      write: (bytes) => {
        if (this.#ended) return Promise.resolve();
        framer.write(bytes);
        return this.#mayGoOn();
      },
    };
  }

  #emitNote(line: string): void {
    const text = this.#options.secrets.redact(line).slice(0, noteLimit);
    this.#emit('system', new TextEncoder().encode(`${text}\n`));
  }

  #emit(stream: StreamName, payload: Uint8Array): void {
    this.#batch.add(stream, this.#options.now(), payload);
    if (this.#batch.length >= batchBytes) this.#post();
    else if (this.#inFlight === 0 && !this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#post();
      });
    }
  }

  #post(): void {
    if (this.#batch.length === 0) return;
    this.#inFlight += this.#batch.length;
    this.#options.post(this.#batch.take());
  }

  #isFull(): boolean {
    return this.#inFlight + this.#batch.length >= inFlightLimit;
  }

  #mayGoOn(): Promise<void> {
    if (this.#ended || !this.#isFull()) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
