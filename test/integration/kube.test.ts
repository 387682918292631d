import { afterAll, describe, expect, test } from 'vitest';
import { createEventRecorder } from '@outrider/operator/kube/events';
import { createReflector } from '@outrider/operator/kube/reflector';
import { configMaps, leases, runners } from '@outrider/operator/kube/resources';
import type { Runner } from '@outrider/kinds';
import { waitFor } from '../servers/wait.ts';
import { useNamespace } from './cluster.ts';
import { kubeClient, noting, recordingLogger, type ConfigMap } from './kube-fixture.ts';

const cluster = useNamespace('kube');
const { namespace } = cluster;
const client = kubeClient(cluster.controlPlane);
const stop = new AbortController();
afterAll(() => stop.abort());

const runner = (name: string): Promise<Runner> =>
  client.create<Runner>(runners, namespace, {
    apiVersion: 'outrider.dev/v1alpha1',
    kind: 'Runner',
    metadata: { name },
    spec: {},
  });

describe('the client', () => {
  test('gives undefined for what is not there, and the reason of every other refusal', async () => {
    expect(await client.get(configMaps, { namespace, name: 'none' })).toBeUndefined();
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'twice' } };
    const made = await client.create(configMaps, namespace, body);
    expect(made.metadata).not.toHaveProperty('managedFields');
    await expect(client.create(configMaps, namespace, body)).rejects.toMatchObject({
      status: 409,
      reason: 'AlreadyExists',
    });
    const stranger = kubeClient(cluster.controlPlane, await cluster.controlPlane.userKubeconfig('stranger'));
    await expect(stranger.get(configMaps, { namespace, name: 'twice' })).rejects.toMatchObject({
      status: 403,
      reason: 'Forbidden',
      message: expect.stringContaining('User "stranger" cannot get resource "configmaps"') as string,
    });
  });

  test('deletes only the object of that uid, and is content when it is gone already', async () => {
    const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'replaced' } };
    const { uid } = (await client.create(configMaps, namespace, body)).metadata;
    await client.delete(configMaps, { namespace, name: 'replaced', uid });
    await client.delete(configMaps, { namespace, name: 'replaced', uid });
    await client.create(configMaps, namespace, body);
    await client.delete(configMaps, { namespace, name: 'replaced', uid });
    expect((await client.get(configMaps, { namespace, name: 'replaced' }))?.metadata.uid).not.toBe(uid);
  });

  test('ends a request with its signal', async () => {
    const gone = new AbortController();
    const answer = client.request({ method: 'GET', path: '/version', signal: gone.signal });
    gone.abort();
    await expect(answer).rejects.toMatchObject({ status: 0, reason: 'Aborted' });
  });
});

describe('the reflector', () => {
  test('lists 1,200 objects in pages of 500 and then sees each change', async () => {
    const names = Array.from({ length: 1200 }, (_, index) => `page-${String(index).padStart(4, '0')}`);
    const many = names.map((name) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, labels: { page: 'yes' } },
    }));
    await cluster.mustKubectl(['create', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: many }),
    });

    const { client: noted, paths } = noting(client);
    const errors: unknown[] = [];
    const cache = createReflector<ConfigMap>({
      client: noted,
      type: configMaps,
      namespace,
      signal: stop.signal,
      onError: (error) => errors.push(error),
    });
    const changes: string[] = [];
    cache.onChange((key, now, before) => {
      if (key.name.startsWith('page-')) return;
      changes.push(
        `${key.name} ${before === undefined ? 'appeared' : now === undefined ? 'went' : 'changed'}`,
      );
      throw new Error('a listener that throws');
    });
    await cache.synced;
    expect(cache.list(namespace).filter((object) => object.metadata.labels?.['page'] === 'yes')).toHaveLength(
      1200,
    );
    expect(cache.list('elsewhere')).toEqual([]);
    expect(paths.filter((path) => path.includes('limit=500'))).toHaveLength(3);
    expect(cache.get(namespace, 'page-0777')).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1' });
    expect(cache.get(namespace, 'page-0777')?.metadata).not.toHaveProperty('managedFields');

    changes.length = 0;
    await client.create(configMaps, namespace, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'live' },
    });
    await client.patch(configMaps, { namespace, name: 'live' }, { body: { data: { a: '1' } } });
    await client.delete(configMaps, { namespace, name: 'live' });
    await waitFor('three changes', () => changes.length >= 3);
    expect(changes).toEqual(['live appeared', 'live changed', 'live went']);
    expect(errors.map(String)).toContain('Error: a listener that throws');
  });

  test('reopens a watch that has fallen silent from where it was, without a new list', async () => {
    const { client: noted, paths } = noting(client);
    const cache = createReflector({
      client: noted,
      type: leases,
      namespace,
      signal: stop.signal,
      onError: () => {},
      silentMs: 300,
    });
    await cache.synced;
    await waitFor('the third watch', () => paths.filter((path) => path.startsWith('WATCH')).length >= 3);
    expect(paths.filter((path) => path.includes('limit=500'))).toHaveLength(1);
  });
});

describe('the event recorder', () => {
  test('writes an event once and counts its repetitions', async () => {
    const object = await runner('eventful');
    const logger = recordingLogger();
    const recorder = createEventRecorder({ client, logger, instance: 'test' });
    const seen = { ...object, apiVersion: 'outrider.dev/v1alpha1', kind: 'Runner' };
    for (let times = 0; times < 3; times++)
      recorder.record(seen, { type: 'Warning', reason: 'Offline', action: 'Watch', note: 'It went.' });
    await recorder.stop();
    expect(logger.lines).toEqual([]);
    const events = JSON.parse(await cluster.mustKubectl(['get', 'events.events.k8s.io', '-o', 'json'])) as {
      items: {
        regarding: { name: string; uid: string };
        reason: string;
        note: string;
        series: { count: number };
      }[];
    };
    const own = events.items.filter((event) => event.regarding.uid === object.metadata.uid);
    expect(own).toMatchObject([{ reason: 'Offline', note: 'It went.', series: { count: 3 } }]);
  });
});
