import type { NodeDefinition } from '../contract.ts';

export const definition: NodeDefinition = {
  name: 'local-exec',
  title: 'Run a script on the runner',
  description:
    "Runs a script on the runner's own machine, in a session of its own. " +
    "It needs local-exec both in the Runner's spec.allow.nodes and in the runner's own configuration.",
  target: 'Refused',
  credential: 'Refused',
  fields: {
    script: 'Required',
    command: 'Refused',
    interpreter: 'Optional',
    workdir: 'Optional',
    env: 'Optional',
  },
  credentialFields: {},
  defaults: { interpreter: '/bin/sh', timeoutMs: 3_600_000 },
  runsLocally: () => true,
};
