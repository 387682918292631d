import type { Millis } from '../ledger/records.ts';
import { Heap } from './heap.ts';

interface Alarm {
  readonly at: Millis;
  readonly key: string;
}

/** Keys that something happens to at a time; each has at most one. */
export class Alarms {
  readonly #times = new Map<string, Millis>();
  /** Keeps what was removed or set anew since. */
  readonly #heap = new Heap<Alarm>((a, b) => a.at < b.at);

  set(key: string, at: Millis): void {
    this.#times.set(key, at);
    this.#heap.push({ at, key });
  }

  delete(key: string): void {
    this.#times.delete(key);
  }

  has(key: string): boolean {
    return this.#times.has(key);
  }

  /** Takes out those whose time has come. */
  takeDue(now: Millis): readonly string[] {
    const due: string[] = [];
    for (let next = this.#first(); next !== undefined && next.at <= now; next = this.#first()) {
      this.#times.delete(next.key);
      due.push(next.key);
    }
    return due;
  }

  /** Of the first; undefined when there is none. */
  get next(): Millis | undefined {
    return this.#first()?.at;
  }

  #first(): Alarm | undefined {
    for (let first = this.#heap.peek(); first !== undefined; first = this.#heap.peek()) {
      if (this.#times.get(first.key) === first.at) return first;
      this.#heap.pop();
    }
    return undefined;
  }
}
