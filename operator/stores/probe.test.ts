import { createServer } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { probeStore } from './probe.ts';

const open: Server[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

const listen = async (server: Server): Promise<string> => {
  open.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

test('asks the health endpoint below the address, and takes the status without following redirects', async () => {
  const asked: string[] = [];
  const address = await listen(
    createServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(307, { location: '/elsewhere' }).end('x'.repeat(1_000_000));
    }),
  );
  expect(await probeStore({ address: `${address}/base/` })).toEqual({ kind: 'Answered', status: 307 });
  expect(asked).toEqual(['/base/v1/sys/health?standbyok=true&perfstandbyok=true']);
});

test('says that nobody listens', async () => {
  const address = await listen(createTcpServer());
  await new Promise((resolve) => open.splice(0)[0]?.close(resolve));
  expect(await probeStore({ address })).toEqual({
    kind: 'Unreachable',
    why: `connect ECONNREFUSED ${address.slice(7)}`,
  });
});

test('gives up on a server that accepts and says nothing', async () => {
  const silent = createTcpServer((socket) => socket.on('error', () => {}));
  expect(await probeStore({ address: await listen(silent) })).toEqual({
    kind: 'Unreachable',
    why: 'no answer within 3 s',
  });
});

test('says that an address is none', async () => {
  expect(await probeStore({ address: 'https://a b' })).toEqual({ kind: 'Unreachable', why: 'Invalid URL' });
});
