/**
 * Who holds how much of the space for logs. A running attempt holds a whole slot, so that its log cannot run out of
 * what was promised before `accept`; a finished one holds what its log takes; an acknowledged one holds nothing for
 * good: the oldest of those give way to new attempts.
 */
export class LogSpace {
  readonly #maxBytes: number;
  readonly #slotBytes: number;
  readonly #held = new Map<string, number>();
  /** Oldest acknowledgement first. */
  readonly #evictable = new Map<string, number>();
  #heldBytes = 0;
  #evictableBytes = 0;

  constructor(maxBytes: number, slotBytes: number) {
    this.#maxBytes = maxBytes;
    this.#slotBytes = slotBytes;
  }

  /** Holds a slot. Answers which logs have to go for it, or undefined, with nothing changed, when there is no room. */
  reserve(key: string): string[] | undefined {
    if (!this.#held.has(key) && this.#heldBytes + this.#slotBytes > this.#maxBytes) return undefined;
    this.hold(key, this.#slotBytes);
    const evicted: string[] = [];
    for (const [oldest, bytes] of this.#evictable) {
      if (this.#heldBytes + this.#evictableBytes <= this.#maxBytes) break;
      this.#evictable.delete(oldest);
      this.#evictableBytes -= bytes;
      evicted.push(oldest);
    }
    return evicted;
  }

  /** For an attempt that an earlier process accepted, and for one whose log is complete. Never refuses. */
  hold(key: string, bytes = this.#slotBytes): void {
    this.#heldBytes += bytes - (this.#held.get(key) ?? 0);
    this.#held.set(key, bytes);
  }

  /** The attempt is acknowledged: its log stays as long as nobody needs the room. */
  yield(key: string, bytes: number): void {
    this.release(key);
    this.#evictable.set(key, bytes);
    this.#evictableBytes += bytes;
  }

  release(key: string): void {
    this.#heldBytes -= this.#held.get(key) ?? 0;
    this.#held.delete(key);
    this.#evictableBytes -= this.#evictable.get(key) ?? 0;
    this.#evictable.delete(key);
  }
}
