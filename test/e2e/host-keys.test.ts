import { beforeAll, expect, test } from 'vitest';
import type { WorkflowRun } from '@outrider/kinds';
import { startSshTarget, stepOf, type SshTarget } from './faults-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack();
let ssh: SshTarget;

beforeAll(async () => {
  ssh = await startSshTarget(stack);
  const { host, port, user, credential } = ssh.target;
  await stack.apply({
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Target',
    metadata: { name: 'fresh' },
    spec: { type: 'SSH', host, port, user, credential, hostKeyPolicy: 'AcceptNew' },
  });
});

/** On a runner of its own, which has no connection yet. */
const runBy = async (runner: string): Promise<WorkflowRun> => {
  await stack.startRunner(runner, { tags: [runner] });
  await stack.workflow(`by-${runner}`, {
    runner: { tags: [runner] },
    steps: [{ name: 'only', node: 'ssh-exec', target: { name: 'fresh' }, script: 'true' }],
  });
  return stack.waitForEnd(await stack.startRun(`by-${runner}`));
};

test('the host key that one runner was shown first is the one that all of them expect', async () => {
  for (const runner of ['first', 'second'])
    expect(stepOf(await runBy(runner))).toMatchObject({ phase: 'Succeeded', runner });
  const { host, port } = ssh.target;
  const before = ssh.sshd.hostKeyFingerprint;
  await ssh.sshd.rotateHostKey();
  const refused = stepOf(await runBy('third'));
  expect(refused).toMatchObject({ phase: 'Failed', reason: 'HostKeyMismatch', runner: 'third' });
  const words = `${host}:${port} answered with host key ${ssh.sshd.hostKeyFingerprint} (ssh-ed25519), but ${before}, as learned when this host was first met, is expected. Nothing was sent to it.`;
  // A status is cut at 256 characters.
  expect(refused.message?.slice(0, words.length)).toBe(words);
});
