import type { ExecutorTable } from './executor-table.ts';

/** Node types that this runner can execute. The bundler makes a chunk of each. */
export const executors: ExecutorTable = {
  'kubectl-exec': () => import('@outrider/nodes/kubectl-exec/execute'),
  'local-exec': () => import('@outrider/nodes/local-exec/execute'),
  'ssh-exec': () => import('@outrider/nodes/ssh-exec/execute'),
};
