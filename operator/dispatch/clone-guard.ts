import { OutriderError } from '@outrider/protocol';
import type { AuthenticatedRunner } from './contract.ts';

interface Window {
  readonly ms: number;
  readonly most: number;
  readonly words: string;
}

/** A crash loop under a supervisor that backs off stays below these; two machines that take a key from each other do not. */
const windows: readonly Window[] = [
  { ms: 60_000, most: 12, words: '12 sessions within a minute' },
  { ms: 600_000, most: 30, words: '30 sessions within ten minutes' },
];

const longestMs = Math.max(...windows.map(({ ms }) => ms));
/** Keys whose sessions alternate, as those of a cloned machine do: each of two processes supersedes the other's. */
export class CloneGuard {
  readonly #now: () => number;
  readonly #openings = new Map<string, readonly number[]>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws OutriderError SessionQuarantined: the last session of the key goes on, and no other one opens. */
  opening(runner: AuthenticatedRunner): void {
    const exceeded = this.#exceeded(runner.clientId);
    // What is refused does not count, or whoever goes on asking would never be let in again.
    if (exceeded === undefined) {
      this.#openings.set(runner.clientId, [...this.#recent(runner.clientId), this.#now()]);
      return;
    }
    throw new OutriderError({
      code: 'SessionQuarantined',
      message: `Runner ${runner.name} opened ${exceeded.words} with one key, as two copies of one machine do.`,
      action:
        'Stop all but one of them, and give the others a state folder and a registration of their own; the quarantine ends by itself.',
    });
  }

  /** What the status of the runner says while its key is in quarantine. */
  complaint(clientId: string): string | undefined {
    const exceeded = this.#exceeded(clientId);
    return (
      exceeded &&
      `one of its keys opened ${exceeded.words}, as two copies of one machine do: stop all but one, and give the others a state folder and a registration of their own`
    );
  }

  forget(clientId: string): void {
    this.#openings.delete(clientId);
  }

  #recent(clientId: string): readonly number[] {
    return (this.#openings.get(clientId) ?? []).filter((at) => this.#now() - at < longestMs);
  }

  #exceeded(clientId: string): Window | undefined {
    const openings = this.#recent(clientId);
    const within = (ms: number): number => openings.filter((at) => this.#now() - at < ms).length;
    return windows.find(({ ms, most }) => within(ms) >= most);
  }
}
