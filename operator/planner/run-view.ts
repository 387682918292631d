import {
  terminalStates,
  type RunAndTasks,
  type RunRecord,
  type TaskRecord,
  type TaskState,
} from '../ledger/records.ts';

/** What the plan and the status of a run need of a task. What it executes stays in the ledger. */
export type ViewedTask = Omit<TaskRecord, 'spec'>;

/** The tasks of one step by their state; what is asked of it costs no more for 10,000 tasks than for one. */
export class StepView {
  readonly #byState = new Map<TaskState, Map<string, ViewedTask>>();
  #total = 0;
  #final = 0;
  #unconfirmed = 0;
  #attempts = 0;

  get total(): number {
    return this.#total;
  }
  /** Tasks that are not over. */
  get open(): number {
    return this.#total - this.#final;
  }
  /** Attempts whose end could not be checked. */
  get unconfirmed(): number {
    return this.#unconfirmed;
  }
  /** The highest number of an attempt. */
  get attempts(): number {
    return this.#attempts;
  }

  count(...states: readonly TaskState[]): number {
    return states.reduce((sum, state) => sum + (this.#byState.get(state)?.size ?? 0), 0);
  }

  /** In no order that means anything. */
  *in(...states: readonly TaskState[]): Generator<ViewedTask> {
    for (const state of states) yield* this.#byState.get(state)?.values() ?? [];
  }

  first(...states: readonly TaskState[]): ViewedTask | undefined {
    return this.in(...states).next().value ?? undefined;
  }

  replace(before: ViewedTask | undefined, task: ViewedTask): void {
    if (before) {
      this.#byState.get(before.state)?.delete(before.id);
      this.#count(before, -1);
    }
    const same = this.#byState.get(task.state);
    if (same) same.set(task.id, task);
    else this.#byState.set(task.state, new Map([[task.id, task]]));
    this.#count(task, 1);
    this.#attempts = Math.max(this.#attempts, task.epoch);
  }

  #count(task: ViewedTask, by: 1 | -1): void {
    this.#total += by;
    this.#unconfirmed += by * task.unconfirmed;
    if (terminalStates.has(task.state)) this.#final += by;
  }
}

/** A run as the ledger has it, brought up to date by what the ledger says has changed: never by anything else. */
export class RunView {
  #run: RunRecord;
  readonly #steps: StepView[];
  readonly #tasks = new Map<string, ViewedTask>();
  readonly #openProbes = new Set<string>();

  constructor({ run, tasks }: RunAndTasks) {
    this.#run = run;
    this.#steps = run.steps.map(() => new StepView());
    for (const task of tasks) this.#put(task);
  }

  get run(): RunRecord {
    return this.#run;
  }
  /** In the order in which they are executed. */
  get steps(): readonly StepView[] {
    return this.#steps;
  }
  /** Probes of `onLost: Verify` that are not over. */
  get openProbes(): number {
    return this.#openProbes.size;
  }

  /** Takes in the tasks that were written up to the revision of `run`; what is older than what it has is left alone. */
  apply({ run, tasks }: RunAndTasks): void {
    if (run.revision < this.#run.revision) return;
    this.#run = run;
    for (const task of tasks) this.#put(task);
  }

  #put(record: TaskRecord): void {
    const { spec: _, ...task } = record;
    if (task.probeOf !== null) {
      if (terminalStates.has(task.state)) this.#openProbes.delete(task.id);
      else this.#openProbes.add(task.id);
      return;
    }
    const step = (this.#steps[task.stepIndex] ??= new StepView());
    step.replace(this.#tasks.get(task.id), task);
    this.#tasks.set(task.id, task);
  }
}
