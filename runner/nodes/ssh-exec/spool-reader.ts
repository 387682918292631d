import type { Pump } from '@outrider/transports/pump';
import type { ClientChannel } from 'ssh2';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessEnd } from '../attempt.ts';
import type { OutputOffsets, OutputSink, TaskContext } from '../contract.ts';
import { MarkedStream } from './marked-stream.ts';
import { keeperKilled } from './spool-session.ts';
import { BLOCK } from './spooler-program.ts';

/** Output is acknowledged, and may then be removed from the spool, each time that this much has come … */
const ACKNOWLEDGE_BYTES = 1_048_576;
/** … or two of the smallest segments, of which a small spool holds eight: less would make it wait for ever. */
const segmentsBytes = (blocks: number): number => 2 * BLOCK * blocks;
/** A journal that took no checkpoint is asked again after this. */
const RETRY_MS = 1_000;

/** One stream of the script over all connections. */
class SpoolStream implements Pump {
  readonly done: Promise<void>;
  readonly end: () => void;
  readonly fail: (error: unknown) => void;
  received: number;
  /** A channel is attached: silence is the script's own. */
  attached = false;
  readonly #sink: OutputSink;
  #last = performance.now();
  #writing = false;

  constructor(sink: OutputSink, from: number) {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined);
    this.done = promise;
    this.end = resolve;
    this.fail = reject;
    this.#sink = sink;
    this.received = from;
  }

  async take(bytes: Uint8Array): Promise<void> {
    this.#writing = true;
    await this.#sink.write(bytes);
    this.received += bytes.length;
    this.#writing = false;
    this.#last = performance.now();
  }

  attach(): void {
    this.attached = true;
    this.#last = performance.now();
  }

  idleMs(): number {
    return this.attached && !this.#writing ? performance.now() - this.#last : 0;
  }
}

/** Reads a spool over one channel after the other, each from where the one before ended. */
export class SpoolReader {
  /** Rejects with the reason once the end can no longer be learnt. */
  readonly exited: Promise<ProcessEnd>;
  readonly stdout: SpoolStream;
  readonly stderr: SpoolStream;
  /** The target's file system took no more output. */
  full = false;
  readonly #context: TaskContext;
  readonly #exit = Promise.withResolvers<ProcessEnd>();
  /** Nothing more is to be read, for good or ill. */
  readonly #over = Promise.withResolvers<void>();
  #known = false;
  #ends = 0;
  #channel: ClientChannel | undefined;
  #acknowledged: number;
  #acknowledging = false;
  #acknowledgeBytes = ACKNOWLEDGE_BYTES;

  constructor(context: TaskContext, from: OutputOffsets) {
    this.#context = context;
    this.stdout = new SpoolStream(context.stdout, from.stdout);
    this.stderr = new SpoolStream(context.stderr, from.stderr);
    this.exited = this.#exit.promise;
    this.exited.catch(() => undefined);
    this.#acknowledged = from.stdout + from.stderr;
  }

  /** The script's end is known and all of its output was read. */
  get complete(): boolean {
    return this.#known && this.#ends === 2;
  }

  get offsets(): OutputOffsets {
    return { stdout: this.stdout.received, stderr: this.stderr.received };
  }

  /** Nothing more will be learnt. */
  fail(error: unknown): void {
    this.#exit.reject(error);
    for (const stream of [this.stdout, this.stderr]) stream.fail(error);
    this.#over.resolve();
  }

  /** Reads until the channel ends. True when nothing more is to be read at all. */
  async follow(channel: ClientChannel, mark: string): Promise<boolean> {
    this.#channel = channel;
    for (const stream of [this.stdout, this.stderr]) stream.attach();
    try {
      const reading = [this.#read(channel, this.stdout, mark), this.#read(channel.stderr, this.stderr, mark)];
      const ended = Promise.all(reading).then(() => this.complete);
      return await Promise.race([ended, this.#over.promise.then(() => true)]);
    } finally {
      this.#channel = undefined;
      for (const stream of [this.stdout, this.stderr]) stream.attached = false;
    }
  }

  async #read(source: Readable, stream: SpoolStream, mark: string): Promise<void> {
    const marked = new MarkedStream(mark);
    let begun = stream === this.stdout;
    const chunks: AsyncIterator<Buffer> = source.iterator({ destroyOnReturn: false });
    while (!this.complete) {
      const next = await chunks.next().catch(() => undefined);
      if (next === undefined || next.done) return;
      for (const piece of marked.push(next.value)) {
        if (piece.kind === 'Line') begun = await this.#hear(piece.words, stream);
        else if (begun) await stream.take(piece.bytes);
      }
      void this.#acknowledge();
    }
  }

  /** True: what follows is output. */
  async #hear([word, ...rest]: string[], stream: SpoolStream): Promise<true> {
    if (word === 'begin')
      this.#acknowledgeBytes = Math.min(ACKNOWLEDGE_BYTES, segmentsBytes(Number(rest[0])));
    else if (word === 'exit') this.#learn(rest);
    else if (word === 'end') this.#ended(stream);
    else if (word === 'lost') await this.#skip(rest);
    else if (word === 'full') this.full = true;
    else if (word === 'orphan') this.fail(keeperKilled(this.#context.connection.host ?? ''));
    return true;
  }

  #learn([code, signal = '-']: string[]): void {
    this.#known = true;
    this.#exit.resolve(
      signal === '-'
        ? { code: Number(code), signal: undefined }
        : { code: undefined, signal: `SIG${signal}` },
    );
    if (this.complete) this.#over.resolve();
  }

  #ended(stream: SpoolStream): void {
    this.#ends += 1;
    stream.end();
    if (this.complete) this.#over.resolve();
  }

  /** What a power cut took from the runner's journal after the target had been told that it was there. */
  async #skip([name, first]: string[]): Promise<void> {
    const stream = name === 'o' ? this.stdout : this.stderr;
    const missing = Number(first) - stream.received;
    stream.received += missing;
    await this.#context.note(
      `${missing} bytes of ${name === 'o' ? 'stdout' : 'stderr'} are missing here: the target had removed them after this runner acknowledged them, and this runner's disk has lost them since.`,
    );
  }

  /** Never more than one at a time; without room in the journal the script waits, as for any slow reader. */
  async #acknowledge(): Promise<void> {
    if (this.#acknowledging) return;
    this.#acknowledging = true;
    while (this.#due()) {
      const upTo = this.stdout.received + this.stderr.received;
      try {
        const { stdout, stderr } = await this.#context.checkpoint();
        this.#acknowledged = upTo;
        if (this.#channel?.writable === true) this.#channel.write(`ack ${stdout} ${stderr}\n`);
      } catch {
        await sleep(RETRY_MS);
      }
    }
    this.#acknowledging = false;
  }

  #due(): boolean {
    return (
      this.#channel !== undefined &&
      this.stdout.received + this.stderr.received - this.#acknowledged >= this.#acknowledgeBytes
    );
  }
}
