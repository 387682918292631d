/** Tasks of one run that wait, and when the run last had its turn; 0 before its first. */
interface Waiting {
  readonly tasks: Set<string>;
  turn: number;
}

/**
 * Tasks of one signature and one priority that wait for a runner: first in, first out within a run, turn by turn over runs,
 * so that a run with 10,000 targets does not starve a small one. All operations are O(1).
 */
export class FairQueue {
  readonly #runs = new Map<string, Waiting>();
  #size = 0;

  add(run: string, task: string): void {
    const waiting = this.#runs.get(run) ?? { tasks: new Set(), turn: 0 };
    this.#size += waiting.tasks.has(task) ? 0 : 1;
    waiting.tasks.add(task);
    this.#runs.set(run, waiting);
  }

  remove(run: string, task: string): void {
    const waiting = this.#runs.get(run);
    if (!waiting?.tasks.delete(task)) return;
    this.#size -= 1;
    if (waiting.tasks.size === 0) this.#runs.delete(run);
  }

  /** When the run whose task is next had its last turn; undefined when nothing waits. */
  get turn(): number | undefined {
    for (const { turn } of this.#runs.values()) return turn;
    return undefined;
  }

  /** Takes the next task; its run goes to the end of the line, with `turn` as its last one. */
  take(turn: number): string | undefined {
    for (const [run, waiting] of this.#runs) {
      for (const task of waiting.tasks) {
        this.#runs.delete(run);
        this.#runs.set(run, waiting);
        waiting.turn = turn;
        this.remove(run, task);
        return task;
      }
    }
    return undefined;
  }

  get size(): number {
    return this.#size;
  }
}
