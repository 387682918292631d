import type { NodeDefinition } from './contract.ts';
import { definition as kubectlExec } from './kubectl-exec/definition.ts';
import { definition as localExec } from './local-exec/definition.ts';
import { definition as sshExec } from './ssh-exec/definition.ts';

export type * from './contract.ts';

/** Every built-in node type by its name. Executors are loaded by the runner alone, from `@outrider/nodes/<name>/execute`. */
export const definitions: Readonly<Record<string, NodeDefinition>> = {
  [kubectlExec.name]: kubectlExec,
  [localExec.name]: localExec,
  [sshExec.name]: sshExec,
};
