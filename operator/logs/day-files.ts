import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { attemptKey, type AttemptRef } from '@outrider/protocol';
import { AttemptLog } from './attempt-log.ts';
import { openMs } from './contract.ts';
import { DayFile } from './day-file.ts';

const dayFileName = /^logs-\d{4}-\d{2}-\d{2}\.db$/;

/** Logs kept in memory between commits; another one is rebuilt from its last checkpoint. */
const keptLogs = 512;

const nameOf = (now: number): string => `logs-${new Date(now).toISOString().slice(0, 10)}.db`;

/** The day files of a folder, and the logs in them that are worked on. */
export class DayFiles {
  readonly #dir: string;
  /** By file name; the newest are looked into first. */
  readonly #days = new Map<string, DayFile>();
  readonly #logs = new Map<string, AttemptLog>();

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(dir, { recursive: true });
    for (const name of readdirSync(dir)
      .filter((entry) => dayFileName.test(entry))
      .sort()
      .reverse())
      this.#open(name);
  }

  find(ref: AttemptRef): AttemptLog | undefined {
    const key = attemptKey(ref);
    const known = this.#logs.get(key);
    if (known !== undefined) return known;
    for (const day of this.#days.values()) {
      const entry = day.find(ref);
      if (entry !== undefined) return this.#keep(new AttemptLog(ref, day, entry));
    }
    return undefined;
  }

  findOrMake(ref: AttemptRef, now: number): AttemptLog {
    const known = this.find(ref);
    if (known !== undefined) return known;
    const name = nameOf(now);
    const day = this.#days.get(name) ?? this.#open(name);
    return this.#keep(new AttemptLog(ref, day, day.insert(ref)));
  }

  commit(): void {
    for (const day of this.#days.values()) day.commit();
    for (const key of this.#logs.keys()) {
      if (this.#logs.size <= keptLogs) break;
      this.#logs.delete(key);
    }
  }

  /** What was in memory may be ahead of the files: it is read again. */
  rollback(): void {
    this.#logs.clear();
    for (const day of this.#days.values()) day.rollback();
  }

  /** As `LogStore.prune` says. */
  prune(before: number): void {
    for (const [name, day] of this.#days) {
      if (!day.isOlderThan(before) || (day.hasOpen() && name >= nameOf(before - openMs))) continue;
      for (const [key, log] of this.#logs) if (log.day === day) this.#logs.delete(key);
      this.#days.delete(name);
      day.close();
      for (const suffix of ['', '-wal', '-shm']) rmSync(`${day.file}${suffix}`, { force: true });
    }
  }

  close(): void {
    for (const day of this.#days.values()) day.close();
  }

  #open(name: string): DayFile {
    const day = new DayFile(join(this.#dir, name));
    this.#days.set(name, day);
    return day;
  }

  #keep(log: AttemptLog): AttemptLog {
    this.#logs.set(attemptKey(log.ref), log);
    return log;
  }
}
