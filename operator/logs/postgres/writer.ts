import type { Pool, PoolClient } from 'pg';
import { attemptKey, type AttemptRef, type LogAnswer, type LogChunk } from '@outrider/protocol';
import type { LogState } from '../contract.ts';
import { ingest } from '../ingest.ts';
import { PostgresLog, type Source } from './attempt-log.ts';
import { isPassing, logStoreFailure } from './failures.ts';
import {
  findCheckpoint,
  insertCheckpoints,
  insertChunks,
  insertRows,
  lockRows,
  readBytes,
  updateRows,
  type LogRow,
} from './rows.ts';
import { createDay, dayOf, transaction } from './schema.ts';

export type Write =
  | { readonly kind: 'append'; readonly chunk: LogChunk }
  | { readonly kind: 'seal'; readonly ref: AttemptRef; readonly expected: { length: number; sha256: string } }
  | { readonly kind: 'abandon'; readonly ref: AttemptRef };

export interface Written {
  readonly answer: LogAnswer;
  readonly state: LogState;
}

interface Call {
  readonly writes: readonly Write[];
  readonly resolve: (written: readonly Written[]) => void;
  readonly reject: (error: Error) => void;
}

export interface WriterOptions {
  readonly pool: Pool;
  readonly now: () => number;
  /** After each commit, with the attempts that grew or ended. */
  readonly onCommit: (refs: readonly AttemptRef[]) => void;
}

/** Writes of one transaction at most: bounds its memory and how long its rows are locked. */
const maxGroup = 256;
/** Logs kept in memory between commits; another one is rebuilt from its last checkpoint. */
const keptLogs = 512;
const tries = 3;

const refOf = (write: Write): AttemptRef =>
  write.kind === 'append' ? { task: write.chunk.task, epoch: write.chunk.epoch } : write.ref;

/**
 * The one lane in which this replica writes logs: calls that arrive while a group is being committed form the next one.
 * Rows are locked in one order, so that replicas that write the same attempts wait for each other.
 */
export class LogWriter {
  readonly #options: WriterOptions;
  readonly #logs = new Map<string, PostgresLog>();
  /** Days whose partitions exist for sure. */
  readonly #days = new Set<number>();
  #waiting: Call[] = [];
  #lane: Promise<void> | undefined;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  write(writes: readonly Write[]): Promise<readonly Written[]> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ writes, resolve, reject });
      this.#lane ??= this.#drain();
    });
  }

  /** Resolves once everything that was asked for is answered. */
  async idle(): Promise<void> {
    await this.#lane;
  }

  /** What is in memory may no longer be what is stored. */
  forget(): void {
    this.#logs.clear();
    this.#days.clear();
  }

  async #drain(): Promise<void> {
    while (this.#waiting.length > 0) await this.#commitGroup(this.#takeGroup());
    this.#lane = undefined;
  }

  #takeGroup(): readonly Call[] {
    const group: Call[] = [];
    let size = 0;
    for (const call of this.#waiting) {
      size += call.writes.length;
      if (group.length > 0 && size > maxGroup) break;
      group.push(call);
    }
    this.#waiting = this.#waiting.slice(group.length);
    return group;
  }

  async #commitGroup(group: readonly Call[]): Promise<void> {
    try {
      const writes = group.flatMap((call) => call.writes);
      const { written, changed } = await this.#tryAgain(() => this.#commit(writes));
      let at = 0;
      for (const call of group) call.resolve(written.slice(at, (at += call.writes.length)));
      if (changed.length > 0) this.#options.onCommit(changed);
    } catch (error) {
      const failure = logStoreFailure(error);
      for (const call of group) call.reject(failure);
    }
  }

  async #tryAgain<T>(commit: () => Promise<T>): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        return await commit();
      } catch (error) {
        this.forget();
        if (tried === tries || !isPassing(error)) throw error;
      }
    }
  }

  async #commit(writes: readonly Write[]): Promise<{ written: Written[]; changed: AttemptRef[] }> {
    const { pool, now } = this.#options;
    const at = now();
    const refs = [...new Map(writes.map((write) => [attemptKey(refOf(write)), refOf(write)])).values()];
    await this.#makeRows(refs, dayOf(at));
    return transaction(pool, async (client) => {
      const logs = await this.#lock(client, refs, writes);
      const done = writes.map((write) => apply(logOf(logs, refOf(write)), write, at));
      const changes = [...logs.values()].flatMap((log) => log.takeChanges() ?? []);
      await insertChunks(
        client,
        changes.flatMap(({ chunks }) => chunks),
      );
      await insertCheckpoints(
        client,
        changes.flatMap(({ checkpoints }) => checkpoints),
      );
      if (changes.length > 0)
        await updateRows(
          client,
          changes.map(({ row }) => row),
        );
      return { written: done, changed: changes.map(({ row }) => row.ref) };
    });
  }

  /** Apart from the transaction: it must lock all of its rows at once. */
  async #makeRows(refs: readonly AttemptRef[], day: number): Promise<void> {
    const missing = refs.filter((ref) => !this.#logs.has(attemptKey(ref)));
    if (missing.length === 0) return;
    if (!this.#days.has(day)) await createDay(this.#options.pool, day);
    this.#days.add(day);
    await insertRows(this.#options.pool, missing, day);
  }

  async #lock(
    client: PoolClient,
    refs: readonly AttemptRef[],
    writes: readonly Write[],
  ): Promise<Map<string, PostgresLog>> {
    const rows = await lockRows(client, refs);
    const logs = new Map<string, PostgresLog>();
    for (const row of rows) {
      const key = attemptKey(row.ref);
      const source = sourceOf(client, row);
      const log = await this.#current(key, source);
      await log.prepare(source, needsOf(key, writes));
      logs.set(key, log);
    }
    for (const key of this.#logs.keys()) {
      if (this.#logs.size <= keptLogs) break;
      this.#logs.delete(key);
    }
    return logs;
  }

  async #current(key: string, source: Source): Promise<PostgresLog> {
    const known = this.#logs.get(key);
    if (known !== undefined && (await known.refresh(source))) return known;
    const loaded = await PostgresLog.load(source);
    this.#logs.set(key, loaded);
    return loaded;
  }
}

const sourceOf = (client: PoolClient, row: LogRow): Source => ({
  row,
  bytes: (from, to) => readBytes(client, row, { from, to }),
  checkpoint: () => findCheckpoint(client, row, 2 ** 31 - 1),
});

const needsOf = (key: string, writes: readonly Write[]): { overlapFrom: number; hash: boolean } => {
  const mine = writes.filter((write) => attemptKey(refOf(write)) === key);
  const starts = mine.map((write) => (write.kind === 'append' ? write.chunk.offset : Infinity));
  return { overlapFrom: Math.min(...starts), hash: mine.some(({ kind }) => kind === 'seal') };
};

const logOf = (logs: ReadonlyMap<string, PostgresLog>, ref: AttemptRef): PostgresLog => {
  const log = logs.get(attemptKey(ref));
  if (log !== undefined) return log;
  // Pruned between the making of its row and its lock.
  throw Object.assign(new Error(`the log of ${attemptKey(ref)} has just been pruned`), { code: '40001' });
};

const apply = (log: PostgresLog, write: Write, now: number): Written => {
  if (write.kind === 'append') {
    const answer = ingest(log, write.chunk, now);
    return { answer, state: log.state };
  }
  if (write.kind === 'seal') log.seal(write.expected, now);
  else log.abandon(now);
  return { answer: { ...log.ref, offset: log.offset }, state: log.state };
};
