import { Gauge, type Registry } from 'prom-client';
import type { Board } from '../dispatch/board.ts';
import type { TaskRecord, TaskState } from '../ledger/records.ts';

/** States in which somebody or something is waited for. */
const openStates = [
  'Blocked',
  'Ready',
  'Offered',
  'Claimed',
  'Running',
  'Unknown',
  'Verifying',
  'AwaitingHuman',
] as const satisfies readonly TaskState[];

/** States of which the longest wait says that somebody should look. */
const waits: Readonly<Partial<Record<TaskState, (task: TaskRecord) => number | null>>> = {
  Ready: ({ readyAt }) => readyAt,
  Unknown: ({ unknownSince }) => unknownSince,
  AwaitingHuman: ({ unknownSince, readyAt }) => unknownSince ?? readyAt,
};

interface Counted {
  readonly counts: Map<TaskState, number>;
  /** The earliest time since which one waits, in milliseconds since the Unix epoch. */
  readonly oldest: Map<TaskState, number>;
}

const count = (tasks: Iterable<TaskRecord>): Counted => {
  const counts = new Map<TaskState, number>();
  const oldest = new Map<TaskState, number>();
  for (const task of tasks) {
    counts.set(task.state, (counts.get(task.state) ?? 0) + 1);
    const since = waits[task.state]?.(task) ?? Infinity;
    oldest.set(task.state, Math.min(oldest.get(task.state) ?? Infinity, since));
  }
  return { counts, oldest };
};

/** How many tasks are in each state, and how long the first of those that wait has waited: counted when they are asked for. */
export const addTaskGauges = (registry: Registry, board: Board, now: () => number): void => {
  const tasks: Gauge = new Gauge({
    name: 'outrider_tasks',
    help: 'Tasks that are neither pending nor final, by state.',
    labelNames: ['state'],
    registers: [registry],
    collect: () => {
      const { counts } = count(board.tasks());
      for (const state of openStates) tasks.set({ state }, counts.get(state) ?? 0);
    },
  });
  const ages: Gauge = new Gauge({
    name: 'outrider_oldest_task_age_seconds',
    help: 'How long the task that has waited longest waits, by state; 0 when none does.',
    labelNames: ['state'],
    registers: [registry],
    collect: () => {
      const { oldest } = count(board.tasks());
      for (const state of Object.keys(waits)) {
        const since = oldest.get(state as TaskState) ?? Infinity;
        ages.set({ state }, Number.isFinite(since) ? Math.max(0, now() - since) / 1000 : 0);
      }
    },
  });
};
