import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Runner } from '@outrider/kinds';
import type { LiveRunner, RunnerDirectory } from '@outrider/operator/dispatch/contract';
import type { Controller } from '@outrider/operator/kube/controller';
import { createEventRecorder } from '@outrider/operator/kube/events';
import { runners } from '@outrider/operator/kube/resources';
import { createStatusWriter } from '@outrider/operator/kube/status-writer';
import type { RunnerIdentityRecord } from '@outrider/operator/ledger/records';
import { startRunnerReconciler } from '@outrider/operator/runners/reconciler';
import { useNamespace } from './cluster.ts';
import { kubeClient, recordingLogger } from './kube-fixture.ts';
import { conditionWith, create, startCaches } from './reconcilers-fixture.ts';

const cluster = useNamespace('runners');
const { namespace } = cluster;
const client = kubeClient(cluster.controlPlane);
const logger = recordingLogger();
const stop = new AbortController();
const status = createStatusWriter({ client, logger });
const events = createEventRecorder({ client, logger, instance: 'test' });
let controller: Controller;
let clock = Date.now();

/** Sessions and keys, as dispatch and ledger would have them. */
let live: LiveRunner[] = [];
let identities: RunnerIdentityRecord[] = [];
const listeners = new Set<(namespace: string, name: string) => void>();
const revoked: string[] = [];
const directory: RunnerDirectory = {
  list: () => live,
  get: (_, name) => live.filter((each) => each.name === name),
  onChange: (listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  },
};
const become = (now: readonly LiveRunner[]): void => {
  live = [...now];
  for (const listener of listeners) listener(namespace, 'edge');
};

const session = (over: Partial<LiveRunner> = {}): LiveRunner => ({
  clientId: 'key-1',
  namespace,
  name: 'edge',
  session: 'session-1',
  lastContact: clock,
  connected: true,
  closed: false,
  load: 0,
  capacity: 4,
  version: '0.1.0',
  startedAt: '2026-11-22T11:59:00Z',
  tags: ['eu'],
  requestedTags: null,
  degraded: [],
  ...over,
});

beforeAll(() => {
  const caches = startCaches(client, namespace, stop.signal);
  controller = startRunnerReconciler({
    runners: caches.runners,
    directory,
    ledger: {
      listRunnerIdentities: (of) =>
        Promise.resolve(
          identities.filter(
            ({ namespace, name }) => of === undefined || (namespace === of.namespace && name === of.name),
          ),
        ),
      revokeRunnerIdentity: ({ clientId, now }) => {
        identities = identities.map((known) =>
          known.clientId === clientId ? { ...known, revokedAt: now } : known,
        );
        return Promise.resolve();
      },
      audit: () => Promise.resolve(),
    },
    revoke: (clientId) => void revoked.push(clientId),
    status,
    events,
    logger,
    times: { onlineMs: 45_000, offlineMs: 120_000 },
    now: () => clock,
  });
});
afterAll(async () => {
  await controller.stop();
  await status.stop();
  stop.abort();
});

const reads = (reason: string) =>
  conditionWith(client, runners, { namespace, name: 'edge', condition: 'Online', reason });
const phase = async () => (await client.get<Runner>(runners, { namespace, name: 'edge' }))?.status?.phase;

test('a runner joins, is slow, is back, drains and is revoked', async () => {
  await create(client, runners, { namespace, name: 'edge', spec: { tags: ['eu'] } });
  await reads('NeverConnected');

  const joined = performance.now();
  identities = [
    {
      clientId: 'key-1',
      publicKey: 'x',
      namespace,
      name: 'edge',
      requestedTags: null,
      permittedTags: null,
      local: false,
      registeredAt: clock,
      revokedAt: null,
    },
  ];
  become([session()]);
  await reads('HeartbeatReceived');
  expect(performance.now() - joined).toBeLessThan(10_000);
  expect((await client.get<Runner>(runners, { namespace, name: 'edge' }))?.status).toMatchObject({
    phase: 'Online',
    load: 0,
    capacity: 4,
    version: '0.1.0',
    startTime: '2026-11-22T11:59:00Z',
    tags: ['eu'],
  });

  clock += 60_000;
  become([session({ connected: false, lastContact: clock - 60_000 })]);
  expect((await reads('HeartbeatMissing')).status).toBe('Unknown');
  expect(await phase()).toBe('Degraded');
  become([session()]);
  await reads('HeartbeatReceived');
  become([session({ connected: false, closed: true })]);
  await reads('Drained');
  expect(await phase()).toBe('Offline');

  become([session({ session: 'session-2' })]);
  await reads('HeartbeatReceived');
  await client.patch(runners, { namespace, name: 'edge' }, { body: { spec: { revoked: true } } });
  await reads('Revoked');
  expect(revoked).toContain('key-1');
  expect(identities[0]?.revokedAt).toBe(clock);
  expect(logger.lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
});

test('each change of phase was an Event, equal ones counted', async () => {
  await events.stop();
  const found = JSON.parse(await cluster.mustKubectl(['get', 'events.events.k8s.io', '-o', 'json'])) as {
    items: {
      reason: string;
      note: string;
      series?: { count: number };
      regarding: { kind: string; name: string };
    }[];
  };
  const own = found.items.filter(({ regarding }) => regarding.kind === 'Runner' && regarding.name === 'edge');
  const seen = own.map(
    ({ reason, note, series }) => `${reason} ${note.split(':')[0] ?? ''} ${series?.count ?? 1}`,
  );
  expect(seen.sort()).toEqual([
    'Degraded HeartbeatMissing 1',
    'Offline Drained 1',
    'Offline Revoked 1',
    'Online HeartbeatReceived 3',
  ]);
});
