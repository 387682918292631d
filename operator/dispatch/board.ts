import { heldStates, terminalStates, type TaskRecord } from '../ledger/records.ts';
import { demandOf, type Demand } from './eligibility.ts';
import { FairQueue } from './fair-queue.ts';

interface Line {
  readonly demand: Demand;
  readonly queue: FairQueue;
}

/**
 * What the dispatcher remembers of tasks that are Ready or held: a view of the ledger, fed with every task that a command
 * returns. It can be thrown away and rebuilt from `openRuns` at any time; nothing is decided from it without the ledger
 * comparing state and epoch again.
 */
export class Board {
  readonly #tasks = new Map<string, TaskRecord>();
  readonly #lines = new Map<string, Line>();
  readonly #byRunner = new Map<string, Set<string>>();
  readonly #listeners = new Set<(task: TaskRecord) => void>();

  /** Takes in tasks as a ledger command returned them. An older picture of a task never replaces a newer one. */
  apply(tasks: readonly TaskRecord[]): void {
    for (const task of tasks) this.#applyOne(task);
    for (const task of tasks) for (const listener of this.#listeners) listener(task);
  }

  /** Called for every task of every command, after the board took it in. */
  onTask(listener: (task: TaskRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get(task: string): TaskRecord | undefined {
    return this.#tasks.get(task);
  }

  /** Attempts that this runner holds: Offered, Claimed, Running or Unknown. */
  heldBy(clientId: string): readonly TaskRecord[] {
    return [...(this.#byRunner.get(clientId) ?? [])].flatMap((id) => this.#tasks.get(id) ?? []);
  }

  heldCount(clientId: string): number {
    return this.#byRunner.get(clientId)?.size ?? 0;
  }

  /** Signatures with waiting tasks. */
  demands(): readonly Demand[] {
    return [...this.#lines.values()].map((line) => line.demand);
  }

  takeReady(signature: string): TaskRecord | undefined {
    const line = this.#lines.get(signature);
    const id = line?.queue.take();
    if (line?.queue.empty) this.#lines.delete(signature);
    return id === undefined ? undefined : this.#tasks.get(id);
  }

  /** Puts back what was taken and could not be offered. */
  putBack(task: TaskRecord): void {
    if (this.#tasks.get(task.id)?.state === 'Ready') this.#enqueue(task);
  }

  /** Ready or held: while there is none, no timer is needed. */
  get size(): number {
    return this.#tasks.size;
  }

  #applyOne(task: TaskRecord): void {
    const before = this.#tasks.get(task.id);
    if (before && before.epoch > task.epoch) return;
    if (before) this.#forget(before);
    if (terminalStates.has(task.state) || task.state === 'Pending') return;
    this.#tasks.set(task.id, task);
    if (task.state === 'Ready') this.#enqueue(task);
    if (heldStates.has(task.state) && task.runner !== null) this.#hold(task.runner, task.id);
  }

  #forget(task: TaskRecord): void {
    this.#tasks.delete(task.id);
    if (task.runner !== null) this.#release(task.runner, task.id);
    if (task.state !== 'Ready') return;
    const { signature } = demandOf(task);
    const line = this.#lines.get(signature);
    line?.queue.remove(task.runUid, task.id);
    if (line?.queue.empty) this.#lines.delete(signature);
  }

  #enqueue(task: TaskRecord): void {
    const demand = demandOf(task);
    let line = this.#lines.get(demand.signature);
    if (!line) this.#lines.set(demand.signature, (line = { demand, queue: new FairQueue() }));
    line.queue.add(task.runUid, task.id);
  }

  #release(clientId: string, task: string): void {
    const held = this.#byRunner.get(clientId);
    held?.delete(task);
    if (held?.size === 0) this.#byRunner.delete(clientId);
  }

  #hold(clientId: string, task: string): void {
    const held = this.#byRunner.get(clientId);
    if (held) held.add(task);
    else this.#byRunner.set(clientId, new Set([task]));
  }
}
