import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test } from 'vitest';
import { startBalancer, type Balancer } from './balancer.ts';

let balancer: Balancer;
const servers: Server[] = [];
afterEach(async () => {
  await balancer.close();
  for (const server of servers.splice(0)) server.close();
});

/** A server that answers with its name. */
const startNamed = async (name: string) => {
  const server = createServer((socket) => socket.end(name));
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
};

const ask = (): Promise<string> => text(connect({ host: balancer.host, port: balancer.port }));

test('gives connections to its places in turn, and passes over one that is down', async () => {
  balancer = await startBalancer();
  const [a, b] = [await startNamed('a'), await startNamed('b')];
  balancer.use([a, b]);
  expect((await Promise.all([ask(), ask(), ask(), ask()])).sort()).toEqual(['a', 'a', 'b', 'b']);
  await new Promise((resolve) => servers[0]?.close(resolve));
  expect([await ask(), await ask()]).toEqual(['b', 'b']);
  expect(balancer.given.get(`127.0.0.1:${b.port}`)).toBe(4);
});

test('closes a connection that nobody takes', async () => {
  balancer = await startBalancer();
  expect(await ask()).toBe('');
});
