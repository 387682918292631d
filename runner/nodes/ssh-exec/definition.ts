import type { NodeDefinition } from '../contract.ts';

export const definition: NodeDefinition = {
  name: 'ssh-exec',
  title: 'Run a script over SSH',
  description:
    'Runs a script on a Linux or Unix server over SSH, in a session of its own. ' +
    'Script and environment travel on stdin, so nothing of them shows in the argument list of a process there. ' +
    'When its runner or the line dies the script goes on, and its output and exit code are fetched later. ' +
    'The host key must be known, or hostKeyPolicy AcceptNew; cancel and timeout end every process of the script and check that they are gone.',
  targetType: 'SSH',
  target: 'Required',
  credential: 'Required',
  fields: {
    script: 'Required',
    command: 'Refused',
    interpreter: 'Optional',
    workdir: 'Optional',
    env: 'Optional',
  },
  credentialFields: {
    username: 'User to log in as, where the target names none.',
    'ssh-privatekey': 'Private key in OpenSSH or PEM format.',
    privateKey: 'The same as ssh-privatekey, for stores whose field names have no dash.',
    passphrase: 'Passphrase of an encrypted private key.',
    password: 'Password, for servers that permit no keys.',
  },
  defaults: { interpreter: '/bin/sh', timeoutMs: 3_600_000 },
  runsLocally: () => false,
};
