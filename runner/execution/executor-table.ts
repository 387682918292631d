import type { Executor, Reaper, Reattacher, Tidier } from '@outrider/nodes/contract';

/** What `execute.ts` of a node type exports. */
export interface ExecutorModule {
  readonly execute: Executor;
  /** Absent when the node type journals no handle. */
  readonly reap?: Reaper;
  /** Absent when its work does not outlive the runner. */
  readonly reattach?: Reattacher;
  /** Absent when it keeps nothing for a restart. */
  readonly tidy?: Tidier;
}

/** Node types by name; a module is loaded when a task first needs it. */
export type ExecutorTable = Readonly<Record<string, () => Promise<ExecutorModule>>>;

/** The product's table, or the export `executors` of the module at `url`. */
export const loadExecutorTable = async (url: string | undefined): Promise<ExecutorTable> => {
  const module: { readonly executors: ExecutorTable } =
    url === undefined ? await import('./executors.ts') : await import(url);
  return module.executors;
};
