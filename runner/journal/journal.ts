import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { attemptKey, type AttemptRef, type TaskResult, type TaskSpec } from '@outrider/protocol';
import { AttemptLog, readClosedLog, type AttemptLogOptions } from './attempt-log.ts';
import {
  applyRecord,
  snapshotOf,
  type AttemptEntry,
  type Handle,
  type JournalRecord,
} from './attempt-records.ts';
import type { Journal, JournalledAttempt, OutputProgress } from './contract.ts';
import { journalFull, misuse } from './failures.ts';
import { ensureFolder, freeBytes } from './files.ts';
import { KeptResults } from './kept-results.ts';
import { lockFolder } from './lock.ts';
import { logName } from './log-name.ts';
import { LogSpace } from './log-space.ts';
import type { JournalOptions } from './options.ts';
import { RecordLog } from './record-log.ts';

/** Kept free of new attempts, so that those which run can record their ends. */
const reservedBytes = 4_194_304;

class FileJournal implements Journal {
  readonly #folder: string;
  readonly #logFolder: string;
  readonly #maxBytes: number;
  readonly #slotBytes: number;
  readonly #compactBytes: number;
  readonly #now: () => number;
  readonly #space: LogSpace;
  readonly #kept: KeptResults;
  readonly #entries = new Map<string, AttemptEntry>();
  /** Logs of attempts that are not acknowledged. */
  readonly #logs = new Map<string, AttemptLog>();
  readonly #listeners = new Set<(ref: AttemptRef) => void>();
  readonly #unlock: () => Promise<void>;
  #records: RecordLog | undefined;

  constructor(options: JournalOptions, unlock: () => Promise<void>) {
    this.#folder = options.folder;
    this.#logFolder = join(options.folder, 'logs');
    this.#maxBytes = options.maxBytes ?? 1_073_741_824;
    this.#slotBytes = options.slotBytes ?? 67_108_864;
    this.#compactBytes = options.compactBytes ?? 67_108_864;
    this.#now = options.now ?? Date.now;
    this.#space = new LogSpace(this.#maxBytes, this.#slotBytes);
    this.#kept = new KeptResults(options.keptBytes ?? 33_554_432);
    this.#unlock = unlock;
  }

  /** Rebuilds from disk what an earlier process knew. */
  async recover(onCut: (bytes: number) => void = () => undefined): Promise<void> {
    await ensureFolder(this.#logFolder);
    const entries = this.#entries;
    this.#records = await RecordLog.open(
      {
        path: join(this.#folder, 'journal.log'),
        snapshot: () => Array.from(entries.values(), snapshotOf),
        compactBytes: this.#compactBytes,
        onCut,
      },
      (record) => applyRecord(entries, record as JournalRecord),
    );
    for (const [key, entry] of entries) if (entry.state === 'Acknowledged') this.#kept.add(key, entry);
    for (const key of this.#kept.surplus(this.#now())) {
      this.#kept.remove(key);
      entries.delete(key);
    }
    for (const entry of entries.values()) await this.#recoverLog(entry);
    const known = new Set(Array.from(entries.values(), logName));
    for (const name of await readdir(this.#logFolder))
      if (!known.has(name)) await rm(join(this.#logFolder, name), { force: true });
    // Without room for a second file the journal goes on with the long one.
    await this.#records.compact().catch(() => undefined);
  }

  attempts(): readonly JournalledAttempt[] {
    return Array.from(this.#entries.values(), (entry) => {
      const { acknowledgedAt: _at, overflowed: _overflowed, evicted: _evicted, ...attempt } = entry;
      return { ...attempt, logLength: this.logLength(entry) };
    });
  }

  async accepted(ref: AttemptRef, record: { generation: string; spec: TaskSpec }): Promise<void> {
    const key = attemptKey(ref);
    const { generation, spec } = record;
    const known = this.#entries.get(key);
    if (known?.state === 'Accepted' && known.generation === generation && isDeepStrictEqual(known.spec, spec))
      return;
    if (known !== undefined) throw misuse(`attempt ${key} cannot be accepted, it is ${known.state} already`);
    const evicted = this.#space.reserve(key);
    if (evicted === undefined)
      throw journalFull(
        this.#folder,
        `no ${this.#slotBytes} bytes of ${this.#maxBytes} are left for the log of ${key}`,
      );
    try {
      for (const victim of evicted) await this.#evict(victim);
      await this.#record({ k: 'accepted', task: ref.task, epoch: ref.epoch, generation, spec });
    } catch (error) {
      this.#space.release(key);
      throw error;
    }
    this.#logs.set(key, AttemptLog.create(this.#logOptions(ref)));
  }

  async started(ref: AttemptRef, startedAt: string): Promise<void> {
    this.#require(ref, ['Accepted'], 'started');
    await this.#record({ k: 'started', task: ref.task, epoch: ref.epoch, startedAt });
  }

  async handle(ref: AttemptRef, handle: Handle): Promise<void> {
    this.#require(ref, ['Started'], 'given a handle');
    await this.#record({ k: 'handle', task: ref.task, epoch: ref.epoch, handle });
  }

  async checkpoint(ref: AttemptRef, progress: OutputProgress): Promise<void> {
    await this.#log(ref).written();
    await this.#record({ k: 'progress', task: ref.task, epoch: ref.epoch, progress });
  }

  async append(ref: AttemptRef, frames: Uint8Array): Promise<void> {
    await this.#log(ref).append(frames);
  }

  async sealLog(ref: AttemptRef): Promise<{ length: number; sha256: string }> {
    return this.#log(ref).seal();
  }

  logLength(ref: AttemptRef): number {
    const key = attemptKey(ref);
    const entry = this.#entries.get(key);
    const closed = entry?.evicted === true ? 0 : (entry?.result?.log.length ?? 0);
    return this.#logs.get(key)?.length ?? closed;
  }

  async readLog(ref: AttemptRef, offset: number, maxBytes: number): Promise<Uint8Array> {
    const key = attemptKey(ref);
    const log = this.#logs.get(key);
    if (log !== undefined) return log.read(offset, maxBytes);
    if (!this.#entries.has(key)) throw misuse(`attempt ${key} is unknown, so that its log cannot be read`);
    return readClosedLog(this.#logPath(ref), offset, maxBytes);
  }

  onAppend(listener: (ref: AttemptRef) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async finished(ref: AttemptRef, result: TaskResult): Promise<void> {
    const entry = this.#require(ref, ['Accepted', 'Started', 'Finished'], 'finished');
    if (entry.state === 'Finished') {
      if (isDeepStrictEqual(entry.result, result)) return;
      throw misuse(`attempt ${attemptKey(ref)} is finished with another result`);
    }
    const { length, sha256 } = await this.sealLog(ref);
    if (length !== result.log.length || sha256 !== result.log.sha256)
      throw misuse(`the result of attempt ${attemptKey(ref)} names another log than the sealed one`);
    await this.#record({ k: 'finished', task: ref.task, epoch: ref.epoch, result });
    this.#space.hold(attemptKey(ref), length);
  }

  async acknowledged(ref: AttemptRef): Promise<void> {
    const key = attemptKey(ref);
    const entry = this.#require(ref, ['Finished', 'Acknowledged'], 'acknowledged');
    if (entry.state === 'Acknowledged') return;
    await this.#record({ k: 'acknowledged', task: ref.task, epoch: ref.epoch, at: this.#now() });
    this.#space.yield(key, this.logLength(ref));
    this.#kept.add(key, this.#entries.get(key) ?? entry);
    const log = this.#logs.get(key);
    this.#logs.delete(key);
    await log?.close();
    for (const old of this.#kept.surplus(this.#now())) await this.#forgetKept(old);
  }

  async forget(ref: AttemptRef): Promise<void> {
    const key = attemptKey(ref);
    if (!this.#entries.has(key)) return;
    await this.#record({ k: 'forgotten', task: ref.task, epoch: ref.epoch });
    this.#kept.remove(key);
    const log = this.#logs.get(key);
    this.#logs.delete(key);
    await log?.close();
    await rm(this.#logPath(ref), { force: true });
    this.#space.release(key);
  }

  nearlyFull(): boolean {
    let bytes = this.#records?.size ?? 0;
    for (const log of this.#logs.values()) bytes += log.length;
    return bytes > this.#maxBytes * 0.9;
  }

  full(): boolean {
    return freeBytes(this.#folder) < reservedBytes;
  }

  async close(): Promise<void> {
    await this.#records?.close();
    for (const log of this.#logs.values()) await log.close();
    await this.#unlock();
  }

  #record(record: JournalRecord): Promise<void> {
    if (this.#records === undefined) throw misuse('it is not open');
    return this.#records.append(record, () => applyRecord(this.#entries, record));
  }

  #require(ref: AttemptRef, states: readonly JournalledAttempt['state'][], verb: string): AttemptEntry {
    const entry = this.#entries.get(attemptKey(ref));
    if (entry === undefined)
      throw misuse(`attempt ${attemptKey(ref)} cannot be ${verb}, it was never accepted`);
    if (!states.includes(entry.state))
      throw misuse(`attempt ${attemptKey(ref)} cannot be ${verb}, it is ${entry.state}`);
    return entry;
  }

  #log(ref: AttemptRef): AttemptLog {
    const log = this.#logs.get(attemptKey(ref));
    if (log === undefined) throw misuse(`attempt ${attemptKey(ref)} has no open log`);
    return log;
  }

  #logPath(ref: AttemptRef): string {
    return join(this.#logFolder, logName(ref));
  }

  #logOptions({ task, epoch }: AttemptRef): AttemptLogOptions {
    const ref = { task, epoch };
    return {
      path: this.#logPath(ref),
      limit: this.#slotBytes,
      now: this.#now,
      onWritten: () => {
        for (const listener of this.#listeners) listener(ref);
      },
      onOverflow: () => this.#noteOverflow(ref),
    };
  }

  /** Nobody waits for it: without the record a restarted runner would merely not tell that there was a gap. */
  #noteOverflow(ref: AttemptRef): void {
    this.#record({ k: 'overflow', ...ref }).catch(() => undefined);
  }

  async #recoverLog(entry: AttemptEntry): Promise<void> {
    const key = attemptKey(entry);
    if (entry.state === 'Acknowledged') return this.#space.yield(key, this.logLength(entry));
    const log = await AttemptLog.recover(this.#logOptions(entry), entry.overflowed === true);
    this.#logs.set(key, log);
    if (entry.state === 'Finished') this.#space.hold(key, log.length);
    else this.#space.hold(key);
  }

  async #evict(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    await rm(this.#logPath(entry), { force: true });
    await this.#record({ k: 'evicted', task: entry.task, epoch: entry.epoch });
  }

  async #forgetKept(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry !== undefined) await this.forget(entry);
  }
}

/**
 * Opens the runner's journal in `folder`, or makes one. Recovers from whatever an earlier process left.
 *
 * @throws OutriderError JournalLocked when another process has it, JournalDamaged when what it recorded is unreadable,
 * JournalFull or JournalFailed when it cannot be written.
 */
export const openJournal = async (options: JournalOptions): Promise<Journal> => {
  await ensureFolder(options.folder);
  const unlock = await lockFolder(options.folder);
  const journal = new FileJournal(options, unlock);
  try {
    await journal.recover(options.onCut);
  } catch (error) {
    await unlock();
    throw error;
  }
  return journal;
};
