import { readFileSync, readlinkSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { KubeClient } from '@outrider/operator/kube/contract';
import { isExpired } from '@outrider/operator/kube/kube-error';
import { createReflector } from '@outrider/operator/kube/reflector';
import { configMaps } from '@outrider/operator/kube/resources';
import { startControlPlane, type ControlPlane } from '../servers/control-plane.ts';
import { Footprint } from '../servers/footprint.ts';
import { startProcess } from '../servers/process.ts';
import { waitFor } from '../servers/wait.ts';
import { kubeClient, noting, type ConfigMap } from './kube-fixture.ts';

const namespace = 'default';
const footprint = Footprint.temporary('kube-restart');
const stop = new AbortController();
let controlPlane: ControlPlane;
let client: KubeClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ footprint });
  client = kubeClient(controlPlane);
});
afterAll(async () => {
  stop.abort();
  await footprint.end();
});

const put = (name: string): Promise<ConfigMap> =>
  client.create<ConfigMap>(configMaps, namespace, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name },
  });

/** Kills the API server with -9, and gives a function that starts it again as it was. */
async function killApiServer(): Promise<() => Promise<void>> {
  const trace = footprint.traces.find((known) => known.kind === 'process' && known.name === 'kube-apiserver');
  if (trace?.kind !== 'process') throw new Error('no API server was started');
  const [command = '', ...args] = readFileSync(`/proc/${trace.pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  const cwd = readlinkSync(`/proc/${trace.pid}/cwd`);
  process.kill(trace.pid, 'SIGKILL');
  await footprint.remove(trace);
  return async () => {
    await startProcess(footprint, {
      name: 'kube-apiserver',
      command,
      args,
      cwd,
      ready: () => list().then(() => true),
    });
  };
}

const list = (): Promise<readonly ConfigMap[]> => client.list<ConfigMap>(configMaps, { namespace });

/** etcd's JSON gateway on its socket. */
function etcd(path: string, body: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const socketPath = join(controlPlane.dataDir, 'etcd.sock:0');
    const call = request({ socketPath, path, method: 'POST' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      response.once('end', () => resolve(JSON.parse(text) as Record<string, unknown>));
    });
    call.once('error', reject).end(JSON.stringify(body));
  });
}

/** Writes past the revision that everybody has seen, and forgets all history before. */
async function compact(): Promise<void> {
  const put = (await etcd('/v3/kv/put', { key: 'bm90aGluZw==', value: 'MQ==' })) as {
    header: { revision: string };
  };
  const compacted = await etcd('/v3/kv/compaction', { revision: put.header.revision, physical: true });
  expect(compacted).toHaveProperty('header');
}

test('a reflector lives through a killed API server: later changes arrive, and none that it missed is lost', async () => {
  await put('before');
  const { client: noted, paths } = noting(client);
  const errors: unknown[] = [];
  const cache = createReflector<ConfigMap>({
    client: noted,
    type: configMaps,
    namespace,
    signal: stop.signal,
    onError: (error) => errors.push(error),
  });
  await cache.synced;
  const gone: string[] = [];
  cache.onChange((key, now) => now === undefined && gone.push(key.name));

  const restart = await killApiServer();
  await waitFor('the broken watch', () => errors.length > 0);
  expect(cache.get(namespace, 'before')).toBeDefined();
  await restart();
  await client.delete(configMaps, { namespace, name: 'before' });
  await put('after');
  await waitFor(
    'the change after the restart',
    () => cache.get(namespace, 'after') !== undefined && gone.includes('before'),
  );

  const lists = paths.filter((path) => path.includes('limit=500')).length;
  const again = await killApiServer();
  await compact();
  await again();
  await put('compacted');
  await waitFor('the change after the compaction', () => cache.get(namespace, 'compacted') !== undefined);
  expect(errors.some(isExpired)).toBe(true);
  expect(paths.filter((path) => path.includes('limit=500')).length).toBeGreaterThan(lists);
}, 120_000);
