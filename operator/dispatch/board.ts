import type { NotOffered } from '../ledger/ledger.ts';
import { terminalStates, type Millis, type TaskRecord } from '../ledger/records.ts';
import { Alarms } from './alarms.ts';
import type { Demand } from './eligibility.ts';
import { Occupancy } from './occupancy.ts';
import { WaitingTasks, type WaitingDemand } from './waiting-tasks.ts';
import type { Head } from './waiting-line.ts';

export interface BoardOptions {
  /** Milliseconds since the Unix epoch. @default Date.now */
  readonly now?: () => Millis;
  /** Most attempts of one namespace at a time. @default no limit */
  readonly namespaceConcurrency?: number | undefined;
}

/** What the ledger says is full is tried again after so long, unless a place becomes free before. */
const fullRetryMs = 2000;

/** Namespaces and locks share the alarms of what is full; no lock is called so. */
const namespaceKey = (namespace: string): string => `namespace ${namespace}`;

/**
 * What the dispatcher remembers of tasks that are Ready or held: a view of the ledger, fed with every task that a command
 * returns. It can be thrown away and rebuilt from `openRuns` at any time; nothing is decided from it without the ledger
 * comparing state and epoch again.
 */
export class Board {
  readonly namespaceConcurrency: number;
  readonly #now: () => Millis;
  readonly #tasks = new Map<string, TaskRecord>();
  readonly #waiting = new WaitingTasks();
  readonly #occupancy = new Occupancy();
  /** What the ledger says is full, whatever this board can see, until it is asked again. */
  readonly #full = new Alarms();
  readonly #listeners = new Set<(task: TaskRecord) => void>();

  constructor({ now = Date.now, namespaceConcurrency = Infinity }: BoardOptions = {}) {
    this.#now = now;
    this.namespaceConcurrency = namespaceConcurrency;
  }

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

  /** Neither Pending nor final. */
  tasks(): Iterable<TaskRecord> {
    return this.#tasks.values();
  }

  /** Attempts that this runner holds: Offered, Claimed, Running or Unknown. */
  heldBy(clientId: string): readonly TaskRecord[] {
    return this.#known(this.#occupancy.heldBy(clientId));
  }

  heldCount(clientId: string): number {
    return this.#occupancy.heldCount(clientId);
  }

  /** Signatures with waiting tasks that may be offered now. */
  demands(): readonly WaitingDemand[] {
    const now = this.#now();
    for (const id of this.#waiting.takeDue(now)) this.#requeue(id);
    for (const lockKey of this.#full.takeDue(now)) this.#unpark(lockKey, 1);
    return this.#waiting.demands().filter(({ demand }) => !this.#isOverQuota(demand));
  }

  /** What `takeReady` would start with. */
  head(signature: string): Head | undefined {
    return this.#waiting.head(signature);
  }

  /**
   * Takes the next task, which from then on takes its places. Those whose Target is busy are set aside until it is not: each
   * once for every place that becomes free. Undefined when nothing is left, or the namespace has no place left.
   */
  takeReady(demand: Demand): TaskRecord | undefined {
    if (this.#isOverQuota(demand)) return undefined;
    const { signature } = demand;
    for (let id = this.#waiting.take(signature); id !== undefined; id = this.#waiting.take(signature)) {
      const task = this.#tasks.get(id);
      if (task?.state !== 'Ready') continue;
      const busyKey = this.#busyKey(task);
      if (busyKey === undefined) {
        this.#occupancy.reserve(task);
        return task;
      }
      this.#waiting.park(task, busyKey);
    }
    return undefined;
  }

  /** Puts back what was taken and could not be offered. */
  putBack(task: TaskRecord): void {
    const known = this.#tasks.get(task.id);
    if (known?.state !== 'Ready') return;
    this.#occupancy.remove(known);
    this.#enqueue(known);
    this.#placeFreed(known);
  }

  /** The ledger knows of places that are taken, or of times to wait for, and this board did not. */
  setAside({ task, reason, retryAt }: NotOffered): void {
    const known = this.#tasks.get(task);
    if (known?.state !== 'Ready') return;
    this.#occupancy.remove(known);
    this.#waiting.remove(known);
    const until = retryAt ?? this.#now() + fullRetryMs;
    if (reason === 'TargetBusy' && known.lockKey !== null) {
      this.#full.set(known.lockKey, until);
      this.#waiting.park(known, known.lockKey);
      return;
    }
    if (reason !== 'QuotaReached') return this.#waiting.delay(known, until);
    this.#full.set(namespaceKey(known.spec.namespace), until);
    this.#waiting.toLine(known);
  }

  /** When something that waits for a time may be offered; undefined when nothing does. */
  get nextDue(): Millis | undefined {
    const next = Math.min(this.#waiting.nextDue ?? Infinity, this.#full.next ?? Infinity);
    return next === Infinity ? undefined : next;
  }

  /** Ready or held: while there is none, no timer is needed. */
  get size(): number {
    return this.#tasks.size;
  }

  isNamespaceFull(namespace: string): boolean {
    return (
      this.#occupancy.inNamespace(namespace) >= this.namespaceConcurrency ||
      this.#full.has(namespaceKey(namespace))
    );
  }

  /** No place is left on its Target. */
  isBusy(task: TaskRecord): boolean {
    return this.#busyKey(task) !== undefined;
  }

  /** Tasks that have places on its Target, as far as they are known here. */
  holdersFor(task: TaskRecord): readonly TaskRecord[] {
    return this.#known(this.#occupancy.holdersFor(task));
  }

  /** How many tasks for the same runners go first because their priority is higher. */
  before(task: TaskRecord): number {
    return this.#waiting.before(task);
  }

  #known(ids: readonly string[]): readonly TaskRecord[] {
    return ids.flatMap((id) => this.#tasks.get(id) ?? []);
  }

  #applyOne(task: TaskRecord): void {
    const before = this.#tasks.get(task.id);
    if (before && before.epoch > task.epoch) return;
    if (before) this.#forget(before);
    if (!terminalStates.has(task.state) && task.state !== 'Pending') this.#take(task);
    this.#placeFreed(task);
  }

  #take(task: TaskRecord): void {
    this.#tasks.set(task.id, task);
    if (task.state === 'Ready') this.#enqueue(task);
    else this.#occupancy.add(task);
  }

  #forget(task: TaskRecord): void {
    this.#tasks.delete(task.id);
    this.#occupancy.remove(task);
    if (task.state === 'Ready') this.#waiting.remove(task);
  }

  #enqueue(task: TaskRecord): void {
    const { notBefore } = task;
    const busyKey = this.#busyKey(task);
    if (notBefore !== null && notBefore > this.#now()) this.#waiting.delay(task, notBefore);
    else if (busyKey !== undefined) this.#waiting.park(task, busyKey);
    else this.#waiting.toLine(task);
  }

  #requeue(id: string): void {
    const task = this.#tasks.get(id);
    if (task?.state === 'Ready') this.#waiting.toLine(task);
  }

  #isOverQuota({ isProbe, namespace }: Demand): boolean {
    return !isProbe && this.isNamespaceFull(namespace);
  }

  #busyKey(task: TaskRecord): string | undefined {
    const { lockKey } = task;
    if (lockKey === null) return undefined;
    return this.#full.has(lockKey) || this.#occupancy.isBusy(task) ? lockKey : undefined;
  }

  /** Whoever waits for a place of what this task had gets in line again: as many as there are places. */
  #placeFreed({ lockKey, lockMax, state }: TaskRecord): void {
    if (lockKey === null || lockMax === null) return;
    if (terminalStates.has(state)) this.#full.delete(lockKey);
    if (!this.#full.has(lockKey)) this.#unpark(lockKey, this.#occupancy.placesLeft(lockKey, lockMax));
  }

  #unpark(lockKey: string, places: number): void {
    for (let left = places; left > 0; left--) {
      const id = this.#waiting.unpark(lockKey);
      if (id === undefined) return;
      this.#requeue(id);
    }
  }
}
