import type { TaskRecord } from '../ledger/records.ts';
import { FairQueue } from './fair-queue.ts';

/** What decides when a task has its turn. */
export type Waiter = Pick<TaskRecord, 'id' | 'runUid' | 'priority'>;

/** What is next in a line, for comparing lines. */
export interface Head {
  readonly priority: number;
  /** When the run that is next had its last turn. */
  readonly turn: number;
}

/** Higher priority first; within one, the run whose turn is longest ago. */
export const goesBefore = (a: Head, b: Head): boolean =>
  a.priority === b.priority ? a.turn < b.turn : a.priority > b.priority;

/** Tasks that wait for the same: a fair queue for each priority, of which there are few. */
export class WaitingLine {
  readonly #queues = new Map<number, FairQueue>();
  /** Highest first. */
  #priorities: readonly number[] = [];

  add({ id, runUid, priority }: Waiter): void {
    let queue = this.#queues.get(priority);
    if (!queue) {
      this.#queues.set(priority, (queue = new FairQueue()));
      this.#priorities = [...this.#priorities, priority].sort((a, b) => b - a);
    }
    queue.add(runUid, id);
  }

  remove({ id, runUid, priority }: Waiter): void {
    this.#queues.get(priority)?.remove(runUid, id);
    this.#dropEmpty(priority);
  }

  get head(): Head | undefined {
    const [priority = 0] = this.#priorities;
    const turn = this.#queues.get(priority)?.turn;
    return turn === undefined ? undefined : { priority, turn };
  }

  take(turn: number): string | undefined {
    const [priority] = this.#priorities;
    if (priority === undefined) return undefined;
    const task = this.#queues.get(priority)?.take(turn);
    this.#dropEmpty(priority);
    return task;
  }

  /** How many wait that have a higher priority. */
  before(priority: number): number {
    let count = 0;
    for (const [level, queue] of this.#queues) if (level > priority) count += queue.size;
    return count;
  }

  get empty(): boolean {
    return this.#priorities.length === 0;
  }

  #dropEmpty(priority: number): void {
    if (this.#queues.get(priority)?.size !== 0) return;
    this.#queues.delete(priority);
    this.#priorities = this.#priorities.filter((each) => each !== priority);
  }
}
