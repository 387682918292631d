import type { Millis, TaskRecord } from '../ledger/records.ts';
import { Alarms } from './alarms.ts';
import { demandOf, type Demand } from './eligibility.ts';
import { WaitingLine, type Head } from './waiting-line.ts';

interface Line {
  readonly demand: Demand;
  readonly queue: WaitingLine;
}

/** What waits for one kind of runner, and which of it is next. */
export interface WaitingDemand {
  readonly demand: Demand;
  readonly head: Head;
}

/**
 * Ready tasks by what they wait for: a runner (a line for each signature), a place on a busy Target (parked, so that the
 * line does not have to pass 10,000 of them again and again), or a time (the back-off of a retry).
 */
export class WaitingTasks {
  readonly #lines = new Map<string, Line>();
  readonly #parked = new Map<string, WaitingLine>();
  readonly #delayed = new Alarms();
  #turn = 0;

  toLine(task: TaskRecord): void {
    const demand = demandOf(task);
    let line = this.#lines.get(demand.signature);
    if (!line) this.#lines.set(demand.signature, (line = { demand, queue: new WaitingLine() }));
    line.queue.add(task);
  }

  park(task: TaskRecord, lockKey: string): void {
    let parked = this.#parked.get(lockKey);
    if (!parked) this.#parked.set(lockKey, (parked = new WaitingLine()));
    parked.add(task);
  }

  delay(task: TaskRecord, until: Millis): void {
    this.#delayed.set(task.id, until);
  }

  remove(task: TaskRecord): void {
    this.#delayed.delete(task.id);
    const { signature } = demandOf(task);
    const line = this.#lines.get(signature);
    line?.queue.remove(task);
    if (line?.queue.empty) this.#lines.delete(signature);
    if (task.lockKey === null) return;
    const parked = this.#parked.get(task.lockKey);
    parked?.remove(task);
    if (parked?.empty) this.#parked.delete(task.lockKey);
  }

  demands(): readonly WaitingDemand[] {
    return [...this.#lines.values()].flatMap(({ demand, queue }) => {
      const { head } = queue;
      return head === undefined ? [] : [{ demand, head }];
    });
  }

  head(signature: string): Head | undefined {
    return this.#lines.get(signature)?.queue.head;
  }

  take(signature: string): string | undefined {
    const line = this.#lines.get(signature);
    const task = line?.queue.take(++this.#turn);
    if (line?.queue.empty) this.#lines.delete(signature);
    return task;
  }

  /** The one that is next of those that wait for a place under this key. */
  unpark(lockKey: string): string | undefined {
    const parked = this.#parked.get(lockKey);
    const task = parked?.take(++this.#turn);
    if (parked?.empty) this.#parked.delete(lockKey);
    return task;
  }

  /** Takes out what has waited until its time. */
  takeDue(now: Millis): readonly string[] {
    return this.#delayed.takeDue(now);
  }

  /** When `takeDue` may have something next. */
  get nextDue(): Millis | undefined {
    return this.#delayed.next;
  }

  /** How many tasks with the same demand and a higher priority wait for a runner. */
  before(task: TaskRecord): number {
    return this.#lines.get(demandOf(task).signature)?.queue.before(task.priority) ?? 0;
  }
}
