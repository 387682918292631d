import { heldStates, openAttemptStates, type TaskRecord } from '../ledger/records.ts';

/** Sets of task ids by key, without empty sets. */
class Holders {
  readonly #sets = new Map<string, Set<string>>();

  add(key: string, task: string): void {
    const holders = this.#sets.get(key);
    if (holders) holders.add(task);
    else this.#sets.set(key, new Set([task]));
  }

  delete(key: string, task: string): void {
    const holders = this.#sets.get(key);
    holders?.delete(task);
    if (holders?.size === 0) this.#sets.delete(key);
  }

  count(key: string): number {
    return this.#sets.get(key)?.size ?? 0;
  }

  of(key: string): readonly string[] {
    return [...(this.#sets.get(key) ?? [])];
  }
}

/**
 * Places that are taken: of runners, of Targets with maxParallel and of namespaces with a quota. The ledger has the last
 * word on Targets: it alone knows places that are kept for attempts whose end nobody could check.
 */
export class Occupancy {
  readonly #byRunner = new Holders();
  readonly #byLock = new Holders();
  readonly #byNamespace = new Holders();

  /** A task as the ledger has it; its former picture must have been removed. */
  add(task: TaskRecord): void {
    const held = heldStates.has(task.state);
    if (held && task.runner !== null) this.#byRunner.add(task.runner, task.id);
    if (held) this.#byNamespace.add(task.spec.namespace, task.id);
    if (task.lockKey !== null && openAttemptStates.has(task.state)) this.#byLock.add(task.lockKey, task.id);
  }

  /** A Ready task that is about to be offered. */
  reserve(task: TaskRecord): void {
    this.#byNamespace.add(task.spec.namespace, task.id);
    if (task.lockKey !== null) this.#byLock.add(task.lockKey, task.id);
  }

  remove(task: TaskRecord): void {
    if (task.runner !== null) this.#byRunner.delete(task.runner, task.id);
    this.#byNamespace.delete(task.spec.namespace, task.id);
    if (task.lockKey !== null) this.#byLock.delete(task.lockKey, task.id);
  }

  heldBy(clientId: string): readonly string[] {
    return this.#byRunner.of(clientId);
  }

  heldCount(clientId: string): number {
    return this.#byRunner.count(clientId);
  }

  inNamespace(namespace: string): number {
    return this.#byNamespace.count(namespace);
  }

  /** Who has the places that this task would need one of. */
  holdersFor(task: TaskRecord): readonly string[] {
    return task.lockKey === null ? [] : this.#byLock.of(task.lockKey);
  }

  /** Of `max` places under this key. */
  placesLeft(lockKey: string, max: number): number {
    return max - this.#byLock.count(lockKey);
  }

  /** No place is left of what this task needs one of. */
  isBusy({ lockKey, lockMax }: TaskRecord): boolean {
    return lockKey !== null && lockMax !== null && this.placesLeft(lockKey, lockMax) <= 0;
  }
}
