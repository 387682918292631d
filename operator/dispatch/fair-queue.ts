/**
 * Tasks of one signature that wait for a runner: first in, first out within a run, turn by turn over runs, so that a run
 * with 10,000 targets does not starve a small one. All operations are O(1).
 */
export class FairQueue {
  readonly #runs = new Map<string, Set<string>>();

  add(run: string, task: string): void {
    const tasks = this.#runs.get(run);
    if (tasks) tasks.add(task);
    else this.#runs.set(run, new Set([task]));
  }

  remove(run: string, task: string): void {
    const tasks = this.#runs.get(run);
    if (!tasks) return;
    tasks.delete(task);
    if (tasks.size === 0) this.#runs.delete(run);
  }

  /** Takes the next task; its run goes to the end of the line. */
  take(): string | undefined {
    for (const [run, tasks] of this.#runs) {
      this.#runs.delete(run);
      for (const task of tasks) {
        tasks.delete(task);
        if (tasks.size > 0) this.#runs.set(run, tasks);
        return task;
      }
    }
    return undefined;
  }

  get empty(): boolean {
    return this.#runs.size === 0;
  }
}
