/**
 * What this replica itself has changed: so that news from other replicas, which are read apart from its own answers, are told
 * in an order that fits them. A task that is being committed here is told after its answer, or not at all.
 */
export class OwnChanges {
  readonly #transactions = new Set<number>();
  readonly #committing = new Map<string, number>();
  readonly #answered = new Map<string, number>();
  #clock = 0;

  /** Before a commit: its transaction, and the tasks that its commands changed. */
  begin(transaction: number, tasks: readonly string[]): void {
    this.#transactions.add(transaction);
    for (const id of tasks) this.#committing.set(id, (this.#committing.get(id) ?? 0) + 1);
  }

  /** It was not committed: the server may give its number to another one. */
  undo(transaction: number): void {
    this.#transactions.delete(transaction);
  }

  /** Its answers are given, or it came to nothing. */
  end(tasks: readonly string[]): void {
    this.#clock += 1;
    for (const id of tasks) {
      const left = (this.#committing.get(id) ?? 1) - 1;
      if (left === 0) this.#committing.delete(id);
      else this.#committing.set(id, left);
      this.#answered.set(id, this.#clock);
    }
  }

  /** A moment to compare with: to be asked before reading. */
  now(): number {
    return this.#clock;
  }

  isOwn(transaction: number): boolean {
    return this.#transactions.has(transaction);
  }

  /** Its answer is on the way, so what was read of it may be older or newer than that. */
  isCommitting(task: string): boolean {
    return this.#committing.has(task);
  }

  /** An answer about it was given after this moment, so what was read then may be older. */
  wasAnsweredSince(task: string, moment: number): boolean {
    return (this.#answered.get(task) ?? -1) > moment;
  }

  /** Forgets what no later reading can meet. */
  forget(beforeTransaction: number, beforeMoment: number): void {
    for (const transaction of this.#transactions)
      if (transaction < beforeTransaction) this.#transactions.delete(transaction);
    for (const [id, moment] of this.#answered) if (moment <= beforeMoment) this.#answered.delete(id);
  }
}
