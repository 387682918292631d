import type { AttemptEntry } from './attempt-records.ts';

/** How long an acknowledged result is kept, for a ledger that is restored from a backup. */
const keepMs = 7 * 24 * 3_600_000;

/** What a record holds besides its result, roughly. */
const overheadBytes = 512;

const sizeOf = (entry: AttemptEntry): number => JSON.stringify(entry.result ?? {}).length + overheadBytes;

/** Which acknowledged results are kept: those of the last seven days, and of these the latest that fit into `maxBytes`. */
export class KeptResults {
  readonly #maxBytes: number;
  /** Oldest acknowledgement first. */
  readonly #kept = new Map<string, { readonly at: number; readonly bytes: number }>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add(key: string, entry: AttemptEntry): void {
    this.remove(key);
    const kept = { at: entry.acknowledgedAt ?? 0, bytes: sizeOf(entry) };
    this.#kept.set(key, kept);
    this.#bytes += kept.bytes;
  }

  remove(key: string): void {
    this.#bytes -= this.#kept.get(key)?.bytes ?? 0;
    this.#kept.delete(key);
  }

  /** Those to forget, oldest first. */
  surplus(now: number): string[] {
    const surplus: string[] = [];
    let bytes = this.#bytes;
    for (const [key, kept] of this.#kept) {
      if (bytes <= this.#maxBytes && kept.at + keepMs >= now) break;
      bytes -= kept.bytes;
      surplus.push(key);
    }
    return surplus;
  }
}
