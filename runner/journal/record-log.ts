import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { OutriderError } from '@outrider/protocol';
import { isMissing, journalDamaged, journalFailed, writeFailure } from './failures.ts';
import { fileMode, syncFolder } from './files.ts';
import { decodeRecords, encodeRecord, encodeSnapshot, magic, serialize } from './record-format.ts';

interface Waiting {
  readonly json: string;
  /** Runs when the record is durable, before the caller hears of it and before any later record. */
  readonly apply: () => void;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface RecordLogOptions {
  readonly path: string;
  /** What a compacted log holds instead of its history. Asked only between batches, when all records are applied. */
  readonly snapshot: () => Iterable<object>;
  /** A log is compacted when it is longer than this and twice as long as it was after the last compaction. */
  readonly compactBytes: number;
  /** So many bytes at the end were cut or damaged before they were acknowledged, and have been left out. */
  readonly onCut: (bytes: number) => void;
}

/**
 * An append-only file of checksummed records with group commit: one loop writes all that wait as one block, syncs once,
 * then answers them all. A call is answered only when its record, and every one before it, is on disk.
 */
export class RecordLog {
  readonly #options: RecordLogOptions;
  #handle: FileHandle;
  #size: number;
  #compactedSize: number;
  #waiting: Waiting[] = [];
  #loop: Promise<void> | undefined;
  /** Set when it is unknown what the disk holds; nothing is written from then on. */
  #failure: OutriderError | undefined;

  private constructor(options: RecordLogOptions, handle: FileHandle, size: number) {
    this.#options = options;
    this.#handle = handle;
    this.#size = size;
    this.#compactedSize = size;
  }

  /**
   * Opens or creates the log, cuts a torn tail off and hands every record to `replay`, oldest first.
   *
   * @throws OutriderError JournalDamaged when records are unreadable that had been acknowledged; the file is left as it is.
   */
  static async open(options: RecordLogOptions, replay: (record: unknown) => void): Promise<RecordLog> {
    const { path } = options;
    const file = await readFile(path).catch((error: unknown) => {
      if (isMissing(error)) return Buffer.alloc(0);
      throw error;
    });
    const { records, end, damaged } = decodeRecords(file);
    if (damaged) throw journalDamaged(path, end);
    for (const record of records) replay(record);
    await rm(temporary(path), { force: true });
    const handle = await open(path, file.length === 0 ? 'w+' : 'r+', fileMode);
    const log = new RecordLog(options, handle, end);
    try {
      if (end === 0) await log.#begin();
      else if (end < file.length) await log.#cut();
      if (end < file.length) options.onCut(file.length - end);
      await syncFolder(dirname(path));
    } catch (error) {
      await handle.close();
      throw writeFailure(dirname(path), error);
    }
    return log;
  }

  get size(): number {
    return this.#size;
  }

  /** @throws OutriderError JournalFull (nothing was recorded) or JournalFailed. */
  append(record: object, apply: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ json: serialize(record), apply, resolve, reject });
      this.#loop ??= this.#run();
    });
  }

  /** Replaces history by the snapshot. The old file stays in force until the new one is whole and named. */
  async compact(): Promise<void> {
    const { path } = this.#options;
    const bytes = encodeSnapshot(this.#options.snapshot());
    const handle = await open(temporary(path), 'w+', fileMode);
    try {
      await handle.writeFile(bytes);
      await handle.datasync();
      await rename(temporary(path), path);
    } catch (error) {
      await handle.close();
      await rm(temporary(path), { force: true });
      throw writeFailure(dirname(path), error);
    }
    const old = this.#handle;
    this.#handle = handle;
    this.#size = bytes.length;
    this.#compactedSize = bytes.length;
    await old.close();
    await this.#guard(() => syncFolder(dirname(path)));
  }

  async close(): Promise<void> {
    while (this.#loop !== undefined) await this.#loop;
    await this.#handle.close();
  }

  /** The writer. Calls that arrive while it syncs form the next batch. */
  async #run(): Promise<void> {
    // The first call's own turn ends first, so that calls made together share a sync.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      await this.#commit(batch).catch((error: unknown) => {
        const failure = this.#describe(error);
        for (const waiting of batch) waiting.reject(failure);
      });
    }
    this.#loop = undefined;
  }

  async #commit(batch: readonly Waiting[]): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const bytes = Buffer.concat(batch.map((waiting) => encodeRecord(waiting.json, this.#size)));
    try {
      await this.#writeAt(bytes, this.#size);
    } catch (error) {
      // Nobody was answered yet: what came to the file of this batch is taken back, and what was there before stands.
      await this.#guard(() => this.#cut());
      throw error;
    }
    await this.#guard(() => this.#handle.datasync());
    this.#size += bytes.length;
    for (const waiting of batch) {
      waiting.apply();
      waiting.resolve();
    }
    if (this.#size > Math.max(this.#options.compactBytes, 2 * this.#compactedSize)) await this.#tryCompact();
  }

  /** Compaction is a service: without room for a second file the log goes on growing. */
  async #tryCompact(): Promise<void> {
    await this.compact().catch(() => {
      this.#compactedSize = this.#size;
    });
  }

  async #begin(): Promise<void> {
    await this.#handle.truncate(0);
    await this.#writeAt(magic, 0);
    await this.#handle.datasync();
    this.#size = magic.length;
  }

  async #cut(): Promise<void> {
    await this.#handle.truncate(this.#size);
    await this.#handle.datasync();
  }

  async #writeAt(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length)
      done += (await this.#handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }

  /** For steps after whose failure the content of the disk is unknown. */
  async #guard(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#failure = journalFailed(dirname(this.#options.path), error);
      throw this.#failure;
    }
  }

  #describe(error: unknown): Error {
    return error instanceof OutriderError ? error : writeFailure(dirname(this.#options.path), error);
  }
}

const temporary = (path: string): string => `${path}.new`;
