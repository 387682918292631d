import { cpSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Runner } from '@outrider/kinds';
import { startRunner, type RemoteRunner } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { killed } from './faults-fixture.ts';
import { useStack } from './stack.ts';

const stack = useStack({
  flags:
    '--lease 6s --poll-time 2s --unknown-grace 3s --online-time 3s --offline-time 60s --settle-time 1s'.split(
      ' ',
    ),
});

interface Condition {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

const readRunner = async (name: string): Promise<Runner> =>
  JSON.parse(await stack.kubectl('get', 'runner', name, '-o', 'json')) as Runner;

const onlineCondition = async (name: string): Promise<Condition | undefined> =>
  (await readRunner(name)).status?.conditions?.find(({ type }) => type === 'Online');

const waitForReason = (name: string, reason: string): Promise<Condition> =>
  waitFor(
    `runner ${name} to say ${reason}`,
    async () => {
      const condition = await onlineCondition(name);
      return condition?.reason === reason ? condition : undefined;
    },
    { timeoutMs: 40_000, detail: async () => JSON.stringify((await readRunner(name)).status) },
  );

interface KubeEvent {
  readonly type: string;
  readonly reason: string;
  readonly note: string;
  readonly regarding: { readonly name: string };
}

const eventsOf = async (name: string): Promise<readonly KubeEvent[]> => {
  const list = JSON.parse(await stack.kubectl('get', 'events.events.k8s.io', '-o', 'json')) as {
    items: KubeEvent[];
  };
  return list.items.filter(({ regarding }) => regarding.name === name);
};

/** Its last lines. */
const logOf = (name: string): string =>
  readFileSync(join(stack.footprint.folder, 'logs', `runner-${name}.log`), 'utf8')
    .split('\n')
    .slice(-8)
    .join('\n');

test('replicas of one runner have a key each, and one that is missing makes it Degraded', async () => {
  await stack.startRunner('pool');
  const token = await stack.registrationToken();
  const { footprint } = stack;
  const second = await startRunner({ footprint, name: 'pool-b', token, flags: ['--name', 'pool'] });
  await waitFor(
    'both replicas to be Online',
    async () => (await onlineCondition('pool'))?.message === '2 replicas poll for work.',
    { timeoutMs: 40_000 },
  );
  await killed(second.process);
  const missing = await waitForReason('pool', 'ReplicaMissing');
  expect(missing.message).toMatch(
    /^1 of 2 replicas are connected; nothing has been heard of the others since /,
  );
  expect((await readRunner('pool')).status?.phase).toBe('Degraded');
  await second.restart();
  await waitForReason('pool', 'HeartbeatReceived');
});

describe('a machine that was cloned with its state folder', () => {
  test('takes turns with its original for a while, then is in quarantine: the status and an Event say so', async () => {
    const original = await stack.startRunner('twin');
    const { footprint } = stack;
    const copy = { footprint, name: 'twin-copy', token: '', flags: ['--name', 'twin'] };
    const stateDir = footprint.subfolder('runner-twin-copy');
    // Locks name processes of the machine that they were made on, and mean nothing on another.
    const filter = (path: string): boolean => !basename(path).startsWith('lock');
    cpSync(original.stateDir, stateDir, { recursive: true, filter });
    let [ends, starts]: [RemoteRunner, RemoteRunner] = [original, await startRunner(copy)];
    // As a supervisor would, whoever lost its session is started again.
    for (let turn = 0; turn < 40; turn++) {
      const quarantined = (await onlineCondition('twin'))?.reason === 'SessionQuarantined';
      if (quarantined) break;
      const { process } = ends;
      await waitFor(
        'the one whose session was superseded to end',
        async () => !process.running() || (await onlineCondition('twin'))?.reason === 'SessionQuarantined',
        { timeoutMs: 30_000, detail: () => `turn ${turn}\n${logOf('twin')}\n${logOf('twin-copy')}` },
      );
      if (process.running()) break;
      [ends, starts] = [starts, await ends.restart()];
    }
    const condition = await waitForReason('twin', 'SessionQuarantined');
    // The second is what a machine that is slow to restart them comes to.
    expect(condition.message).toMatch(
      /^One of its keys opened (12 sessions within a minute|30 sessions within ten minutes), as two copies of one machine do: stop all but one, and give the others a state folder and a registration of their own\.$/,
    );
    expect((await readRunner('twin')).status?.phase).toBe('Degraded');
    await waitFor('the Event', async () =>
      (await eventsOf('twin')).some(
        ({ type, reason, note }) =>
          type === 'Warning' &&
          reason === 'Degraded' &&
          note.startsWith('SessionQuarantined: One of its keys'),
      ),
    );
    await killed(starts.process);
    if (ends.process.running()) await killed(ends.process);
    // One of them alone is let in again when the minute is over.
    await ends.restart();
    await waitFor(
      'the runner to be well again',
      async () => (await onlineCondition('twin'))?.reason === 'HeartbeatReceived',
      { timeoutMs: 120_000, intervalMs: 1000 },
    );
  });
});
