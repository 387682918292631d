import type { StreamName } from '@outrider/protocol';
import type { OutputSink } from '@outrider/nodes/contract';
import type { SecretSet } from '../redaction/redactor.ts';
import type { OutputProgress } from '../journal/contract.ts';
import type { Resumption } from './contract.ts';
import { batchBytes, FrameBatch } from './frame-batch.ts';
import { StreamFramer, type StreamStart } from './stream-framer.ts';

/** Most framed bytes of one attempt between the executor and the journal. */
export const inFlightLimit = 524_288;

/** Longest note, in UTF-16 units. */
const noteLimit = 4096;

export interface OutputPipeOptions {
  readonly secrets: SecretSet;
  /** Passes frames on; `credit` is called with their length when they were taken. */
  readonly post: (frames: Uint8Array<ArrayBuffer>) => void;
  /** Microseconds since the Unix epoch. */
  readonly now: () => number;
  /** Present when the log holds a part of the output already. */
  readonly resume?: Pick<Resumption, 'progress' | 'logged'>;
}

type Piped = 'stdout' | 'stderr';

const start: StreamStart = { mark: { raw: 0, redacted: 0 }, logged: 0 };

/**
 * Output of one attempt on its way to the journal. A first frame is posted at the end of the turn in which it came;
 * while frames are on their way, more gather into one batch. So a lone line is fast and a flood costs few messages.
 */
export class OutputPipe {
  readonly stdout: OutputSink;
  readonly stderr: OutputSink;
  readonly #options: OutputPipeOptions;
  readonly #framers: Readonly<Record<Piped, StreamFramer>>;
  readonly #batch: FrameBatch;
  #inFlight = 0;
  #scheduled = false;
  #ended = false;
  #waiting: (() => void)[] = [];

  constructor(options: OutputPipeOptions) {
    this.#options = options;
    this.#batch = new FrameBatch(options.resume?.logged.frames);
    this.#framers = { stdout: this.#framer('stdout'), stderr: this.#framer('stderr') };
    this.stdout = this.#sink(this.#framers.stdout);
    this.stderr = this.#sink(this.#framers.stderr);
  }

  /** A line by the product itself. */
  note(line: string): Promise<void> {
    if (this.#ended) return Promise.resolve();
    this.#emitNote(line);
    return this.#mayGoOn();
  }

  /** Posts all that is complete. What is behind the marks has been posted once this returns, what is not would be read again. */
  checkpoint(): OutputProgress {
    const { stdout, stderr } = this.#framers;
    const progress = { stdout: stdout.checkpoint(), stderr: stderr.checkpoint() };
    this.#post();
    return progress;
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
    this.#framers.stdout.end();
    this.#framers.stderr.end();
    if (lastNote !== undefined) this.#emitNote(lastNote);
    this.#ended = true;
    this.#post();
    this.#release();
  }

  #framer(stream: Piped): StreamFramer {
    const { secrets, resume } = this.#options;
    const from =
      resume === undefined ? start : { mark: resume.progress[stream], logged: resume.logged[stream] };
    return new StreamFramer(secrets.stream(), (payload) => this.#emit(stream, payload), from);
  }

  #sink(framer: StreamFramer): OutputSink {
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
