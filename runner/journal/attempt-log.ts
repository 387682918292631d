import { createHash, type Hash } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { encodeFrame, frameHeaderBytes, gapText } from '@outrider/protocol';
import { isMissing, isOutOfSpace, misuse, writeFailure } from './failures.ts';
import { fileMode, syncFolder } from './files.ts';
import { scanFrames } from './frame-scan.ts';

/** `append` makes its caller wait while this much is on its way to the file. */
const unwrittenLimit = 1_048_576;

/** Kept free below the limit, so that the gap frame always fits. */
const gapReserve = frameHeaderBytes + 256;

/** In place of a reason once the gap frame stands in the file. */
const gapWritten = 'gap written';

const recoveryBlock = 4_194_304;

export interface AttemptLogOptions {
  readonly path: string;
  /** Most bytes of the framed log, the gap frame included. */
  readonly limit: number;
  /** Milliseconds since the Unix epoch: stamps the gap frame. */
  readonly now: () => number;
  /** Bytes were written and can be read. */
  readonly onWritten: () => void;
  /** The first frame is about to be dropped. */
  readonly onOverflow: () => void;
}

/**
 * The framed log of one attempt in a file of its own. Bytes can be read as soon as they are written; they are synced
 * when the log is sealed, which is before any result names it. A killed process therefore loses nothing that was
 * written, and a power cut may shorten the log of an attempt that had no result yet.
 */
export class AttemptLog {
  readonly #options: AttemptLogOptions;
  readonly #hash: Hash = createHash('sha256');
  #handle: FileHandle | undefined;
  #size = 0;
  #frames = 0;
  /** Bytes of all frames that were not dropped: written, or on their way. */
  #taken = 0;
  #pending: Uint8Array[] = [];
  #loop: Promise<void> | undefined;
  #droppedPayload = 0;
  /** Why frames are dropped; from the first dropped one on all are, so that a log has one gap and it is its end. */
  #dropping: string | undefined;
  #sealed: Promise<{ length: number; sha256: string }> | undefined;
  #failure: Error | undefined;

  private constructor(options: AttemptLogOptions) {
    this.#options = options;
  }

  static create(options: AttemptLogOptions): AttemptLog {
    return new AttemptLog(options);
  }

  /** Rereads what an earlier process wrote, and cuts off what is not a whole frame. `overflowed`: it dropped frames. */
  static async recover(options: AttemptLogOptions, overflowed: boolean): Promise<AttemptLog> {
    const log = new AttemptLog(options);
    const handle = await open(options.path, 'r+').catch((error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    });
    log.#handle = handle;
    const endsInGap = handle !== undefined && (await log.#reread(handle));
    if (endsInGap) log.#dropping = gapWritten;
    else if (overflowed)
      log.#dropping = 'log space of this attempt used up; the runner restarted since and lost count';
    return log;
  }

  /** Bytes that can be read. */
  get length(): number {
    return this.#size;
  }

  /** Takes whole frames. Resolves when fewer than 1 MiB wait to be written. */
  async append(frames: Uint8Array): Promise<void> {
    if (this.#sealed !== undefined) throw misuse('a log that is sealed takes no more frames');
    const all = scanFrames(frames, frames.length, this.#dropping === undefined ? this.#frames : undefined);
    if (all.bytes !== frames.length)
      throw misuse(`bytes that are not the next whole log frames, from byte ${all.bytes} on`);
    const room = this.#options.limit - gapReserve - this.#taken;
    const fit = this.#dropping === undefined ? scanFrames(frames, room) : { bytes: 0, frames: 0, payload: 0 };
    if (fit.bytes < frames.length) this.#drop(all.payload - fit.payload, 'log space of this attempt used up');
    if (fit.bytes > 0) this.#take(frames.subarray(0, fit.bytes), fit.frames);
    while (this.#taken - this.#size >= unwrittenLimit && this.#loop !== undefined) await this.#loop;
  }

  /** Resolves when all that was taken is written, or dropped. */
  written(): Promise<void> {
    return this.#drained();
  }

  /**
   * Writes the gap frame if there was a gap, syncs file and name. Further calls get the same answer.
   *
   * @throws OutriderError JournalFull, after which it may be tried again, or JournalFailed.
   */
  seal(): Promise<{ length: number; sha256: string }> {
    this.#sealed ??= this.#seal().catch((error: unknown) => {
      this.#sealed = undefined;
      throw error;
    });
    return this.#sealed;
  }

  async read(offset: number, maxBytes: number): Promise<Uint8Array> {
    const length = Math.min(maxBytes, this.#size - offset);
    return length > 0 && this.#handle !== undefined
      ? readRange(this.#handle, offset, length)
      : new Uint8Array();
  }

  async close(): Promise<void> {
    await this.#drained();
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }

  async remove(): Promise<void> {
    this.#dropping ??= 'removed';
    await this.close();
    this.#size = 0;
    await rm(this.#options.path, { force: true });
  }

  #take(bytes: Uint8Array, frames: number): void {
    this.#frames += frames;
    this.#taken += bytes.length;
    this.#pending.push(bytes);
    this.#loop ??= this.#run();
  }

  #drop(payload: number, reason: string): void {
    if (this.#dropping === undefined) {
      this.#dropping = reason;
      this.#options.onOverflow();
    }
    this.#droppedPayload += payload;
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0) {
      const chunks = this.#pending;
      this.#pending = [];
      await this.#write(chunks).catch((error: unknown) => this.#giveUp(chunks, error));
    }
    this.#loop = undefined;
  }

  async #write(chunks: readonly Uint8Array[]): Promise<void> {
    this.#handle ??= await open(this.#options.path, 'wx+', fileMode);
    const bytes = Buffer.concat(chunks);
    await writeWhole(this.#handle, bytes, this.#size);
    this.#hash.update(bytes);
    this.#size += bytes.length;
    this.#options.onWritten();
  }

  /**
   * A log that cannot be written any more is a log with a gap: what was refused and all that waits behind it is dropped.
   * Without room that is all; any other failure of the disk also fails the seal.
   */
  async #giveUp(refused: readonly Uint8Array[], error: unknown): Promise<void> {
    const lost = [...refused, ...this.#pending].map((chunk) => scanFrames(chunk, chunk.length));
    this.#pending = [];
    this.#taken = this.#size;
    this.#frames -= lost.reduce((sum, scan) => sum + scan.frames, 0);
    const payload = lost.reduce((sum, scan) => sum + scan.payload, 0);
    this.#drop(payload, "no room on the runner's disk");
    if (!isOutOfSpace(error)) this.#failure ??= writeFailure(dirname(this.#options.path), error);
    // A part of the refused block may stand behind the end; the next start would cut it off in any case.
    await this.#handle?.truncate(this.#size).catch(() => undefined);
  }

  async #drained(): Promise<void> {
    while (this.#loop !== undefined) await this.#loop;
  }

  async #seal(): Promise<{ length: number; sha256: string }> {
    await this.#drained();
    if (this.#failure !== undefined) throw this.#failure;
    try {
      if (this.#dropping !== undefined && this.#dropping !== gapWritten) await this.#writeGap(this.#dropping);
      await this.#handle?.datasync();
      if (this.#handle !== undefined) await syncFolder(dirname(this.#options.path));
    } catch (error) {
      throw writeFailure(dirname(this.#options.path), error);
    }
    return { length: this.#size, sha256: this.#hash.copy().digest('hex') };
  }

  async #writeGap(reason: string): Promise<void> {
    const payload = new TextEncoder().encode(gapText(this.#droppedPayload, reason));
    const ts = BigInt(this.#options.now()) * 1000n;
    await this.#write([encodeFrame({ seq: this.#frames, stream: 'gap', ts, payload })]);
    this.#dropping = gapWritten;
  }

  /** Rebuilds size, frame count and hash; true when the log ends in a gap frame. */
  async #reread(handle: FileHandle): Promise<boolean> {
    const { size } = await handle.stat();
    const block = new Uint8Array(Math.min(recoveryBlock, size));
    let endsInGap = false;
    while (this.#size < size) {
      const { bytesRead } = await handle.read(block, 0, block.length, this.#size);
      const scan = scanFrames(block, bytesRead, this.#frames);
      if (scan.bytes === 0) break;
      this.#hash.update(block.subarray(0, scan.bytes));
      this.#size += scan.bytes;
      this.#frames += scan.frames;
      endsInGap = scan.endsInGap;
    }
    this.#taken = this.#size;
    if (this.#size < size) await handle.truncate(this.#size);
    return endsInGap;
  }
}

const writeWhole = async (handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> => {
  let done = 0;
  while (done < bytes.length)
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
};

const readRange = async (handle: FileHandle, offset: number, length: number): Promise<Uint8Array> => {
  const bytes = new Uint8Array(length);
  const { bytesRead } = await handle.read(bytes, 0, length, offset);
  return bytes.subarray(0, bytesRead);
};

/** Reads from a log that is no longer written; nothing when it was removed to make room. */
export const readClosedLog = async (path: string, offset: number, maxBytes: number): Promise<Uint8Array> => {
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  if (handle === undefined) return new Uint8Array();
  try {
    const { size } = await handle.stat();
    return await readRange(handle, offset, Math.max(0, Math.min(maxBytes, size - offset)));
  } finally {
    await handle.close();
  }
};
