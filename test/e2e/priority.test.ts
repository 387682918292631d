import { beforeAll, expect, test } from 'vitest';
import { waitFor } from '../servers/wait.ts';
import { startSshTarget, startWitnessed, type SshTarget } from './faults-fixture.ts';
import { useStack } from './stack.ts';
import { createWitness, type Witness } from './witness.ts';

const stack = useStack();
const waveSize = 60;
let ssh: SshTarget;
let wave: { readonly name: string; readonly witness: Witness };

/** A runner with one slot, and a run over many targets that queues for it. */
beforeAll(async () => {
  ssh = await startSshTarget(stack, { maxSessions: 20 });
  await stack.startRunner('narrow', { flags: ['--capacity', '1'] });
  await stack.apply(
    ...Array.from({ length: waveSize }, (_, i) => ({
      apiVersion: 'outrider.dev/v1alpha1',
      kind: 'Target',
      metadata: { name: `web-${i}`, labels: { role: 'web' } },
      spec: { type: 'SSH', ...ssh.target },
    })),
  );
  const witness = createWitness(stack.footprint.subfolder('witness'), 'patch');
  witness.open();
  await stack.workflow('patch', {
    priority: -10,
    steps: [
      {
        name: 'all',
        node: 'ssh-exec',
        targets: { matchLabels: { role: 'web' } },
        script: `${witness.script}sleep 0.3`,
      },
    ],
  });
  wave = { name: await stack.startRun('patch'), witness };
  await waitFor('the wave to have begun', () => wave.witness.ends() >= 3);
});

test('an incident overtakes a wave that waits for the same runner', async () => {
  const incident = await startWitnessed(stack, 'incident', { node: 'ssh-exec', target: ssh.target });
  const before = wave.witness.executions();
  incident.witness.open();
  expect((await stack.waitForEnd(incident.name)).status?.phase).toBe('Succeeded');
  // The one that was executing, and those of the time until the status says that it has ended.
  expect(wave.witness.executions() - before).toBeLessThan(waveSize / 4);
  expect(wave.witness.executions()).toBeLessThan(waveSize);
});

test('a run of the same priority takes turns with the wave', async () => {
  const witness = createWitness(stack.footprint.subfolder('witness'), 'small');
  witness.open();
  const steps = [1, 2, 3].map((i) => ({
    name: `part-${i}`,
    node: 'ssh-exec',
    target: ssh.target,
    script: witness.script,
  }));
  await stack.workflow('small', { steps });
  const name = await stack.startRun('small', { priority: -10 });
  expect((await stack.waitForEnd(name)).status?.phase).toBe('Succeeded');
  expect(wave.witness.executions()).toBeLessThan(waveSize);
  const { status } = await stack.waitForEnd(wave.name, 150_000);
  expect(status).toMatchObject({
    phase: 'Succeeded',
    steps: [{ targets: { total: waveSize, succeeded: waveSize, failed: 0 } }],
  });
  expect([wave.witness.executions(), witness.executions()]).toEqual([waveSize, 3]);
});
