import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { createKubeClient } from './client.ts';
import type { KubeClient, KubeObject } from './contract.ts';
import { configMaps, runners } from './resources.ts';
import { createStatusWriter } from './status-writer.ts';

const folder = mkdtempSync(join(tmpdir(), 'outrider-client-'));
const tokenFile = join(folder, 'token');
const servers: Server[] = [];
afterEach(() => {
  vi.useRealTimers();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const object: KubeObject & { status?: unknown } = {
  metadata: { name: 'edge', namespace: 'payments', uid: 'uid', resourceVersion: '7' },
};

/** A client of a server that answers so, with a token from a file as in a pod. */
const serve = async (listener: RequestListener, deadlineMs = 5000): Promise<KubeClient> => {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  writeFileSync(tokenFile, 'first');
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'c', server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, skipTLSVerify: true },
    { name: 'u', authProvider: { name: 'tokenFile', config: { tokenFile } } },
  );
  return createKubeClient(config, { version: '1.2.3', deadlineMs });
};

describe('the Kubernetes client', () => {
  test('names itself, and follows the token file as it rotates', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
    const seen: IncomingMessage['headers'][] = [];
    const client = await serve((request, response) => {
      seen.push(request.headers);
      response.end(JSON.stringify(object));
    });
    await client.get(runners, { namespace: 'payments', name: 'edge' });
    writeFileSync(tokenFile, 'second');
    await client.get(runners, { namespace: 'payments', name: 'edge' });
    vi.advanceTimersByTime(61_000);
    await client.get(runners, { namespace: 'payments', name: 'edge' });
    expect(seen.map(({ authorization }) => authorization)).toEqual([
      'Bearer first',
      'Bearer first',
      'Bearer second',
    ]);
    expect(seen[0]?.['user-agent']).toBe('outrider-operator/1.2.3');
  });

  test('patches by JSON merge patch, on the status where it is asked to', async () => {
    const seen: unknown[] = [];
    const client = await serve((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        seen.push([request.method, request.url, request.headers['content-type'], body]);
        response.end(JSON.stringify(object));
      });
    });
    await client.patch(
      runners,
      { namespace: 'payments', name: 'edge' },
      { body: { status: { load: null } }, subresource: 'status' },
    );
    const path = '/apis/outrider.dev/v1alpha1/namespaces/payments/runners/edge/status';
    expect(seen).toEqual([['PATCH', path, 'application/merge-patch+json', '{"status":{"load":null}}']]);
  });

  test('gives up on a server that does not answer in time, and on a watch without headers', async () => {
    const client = await serve(() => {}, 100);
    const failure = { status: 0, reason: 'Timeout' };
    await expect(client.get(configMaps, { name: 'a', namespace: 'b' })).rejects.toMatchObject({
      ...failure,
      message:
        'The API server did not answer GET /api/v1/namespaces/b/configmaps/a: it took longer than it may (Timeout)',
    });
    const lines = client.watch('/watch', new AbortController().signal)[Symbol.asyncIterator]();
    await expect(lines.next()).rejects.toMatchObject(failure);
  });

  test('says that nobody listens', async () => {
    const client = await serve(() => {});
    await new Promise((resolve) => servers.splice(0)[0]?.close(resolve));
    await expect(client.list(configMaps)).rejects.toMatchObject({ status: 0, reason: 'Unreachable' });
  });

  test('repeats a request that met a connection which the server had just closed', async () => {
    let answered = 0;
    const client = await serve((request, response) => {
      if (answered++ === 1) request.socket.destroy();
      else response.end(JSON.stringify(object));
    });
    await client.get(runners, { namespace: 'payments', name: 'edge' });
    expect(await client.get(runners, { namespace: 'payments', name: 'edge' })).toMatchObject({
      metadata: { name: 'edge' },
    });
    expect(answered).toBe(3);
  });

  test('does not repeat a create, which might have happened', async () => {
    let answered = 0;
    const client = await serve((request, response) => {
      if (answered++ === 1) request.socket.destroy();
      else response.end(JSON.stringify(object));
    });
    await client.get(runners, { namespace: 'payments', name: 'edge' });
    await expect(client.create(runners, 'payments', {})).rejects.toMatchObject({
      status: 0,
      reason: 'Unreachable',
    });
    expect(answered).toBe(2);
  });

  test('lists again from the start when a page has expired', async () => {
    const asked: (string | null)[] = [];
    const client = await serve((request, response) => {
      const next = new URL(request.url ?? '', 'http://x').searchParams.get('continue');
      asked.push(next);
      const expired = asked.length === 2;
      if (expired)
        response
          .writeHead(410)
          .end(JSON.stringify({ reason: 'Expired', message: 'The continue token is too old' }));
      else
        response.end(
          JSON.stringify({
            metadata: { resourceVersion: '9', ...(next === null ? { continue: 'more' } : {}) },
            items: [object],
          }),
        );
    });
    expect(await client.list(runners)).toHaveLength(2);
    expect(asked).toEqual([null, 'more', null, 'more']);
  });

  test('reads the lines of a watch however they are cut, and ends when the server does', async () => {
    const euro = Buffer.from('{"note":"€"}\n{"b":1}\n');
    const client = await serve((_, response) => {
      response.write(euro.subarray(0, 10));
      setImmediate(() => response.end(euro.subarray(10)));
    });
    const lines: unknown[] = [];
    for await (const line of client.watch('/watch', new AbortController().signal)) lines.push(line);
    expect(lines).toEqual([{ note: '€' }, { b: 1 }]);
  });
});

test('a status that meets an overloaded server is written when its Retry-After is over', async () => {
  const at: number[] = [];
  const client = await serve((_, response) => {
    at.push(performance.now());
    if (at.length === 1) response.writeHead(429, { 'retry-after': '1' }).end('{"reason":"TooManyRequests"}');
    else response.end(JSON.stringify({ ...object, status: { load: 1 } }));
  });
  const warnings: string[] = [];
  const quiet = (): void => {};
  const logger = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: (_: object, message: string) => void warnings.push(message),
  };
  const writer = createStatusWriter({ client, logger });
  writer.want(runners, object, { load: 1 }, { urgent: true });
  await writer.flush();
  expect(at).toHaveLength(2);
  expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(990);
  expect(warnings).toEqual(['could not write a status; trying again']);
  await writer.stop();
});
