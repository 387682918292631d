import type { NodeDefinition } from '../contract.ts';

export const definition: NodeDefinition = {
  name: 'kubectl-exec',
  title: 'Run kubectl',
  description:
    'Runs kubectl calls against a Kubernetes cluster, one call a line and no shell; the first that fails ends the step. ' +
    'Context and namespace are pinned, and flags that change the cluster or the identity are refused. ' +
    'A script instead of commands runs in a shell on the runner, which needs the permission for local-exec.',
  targetType: 'Kubernetes',
  target: 'Optional',
  credential: 'Optional',
  fields: {
    script: 'Optional',
    command: 'Optional',
    interpreter: 'Optional',
    workdir: 'Refused',
    env: 'Optional',
  },
  exactlyOneOf: ['command', 'script'],
  credentialFields: {
    kubeconfig: 'A kubeconfig; its context named by the target is used, else its current-context.',
  },
  defaults: { interpreter: '/bin/sh', timeoutMs: 3_600_000 },
  runsLocally: (input) => input.script !== undefined,
};
