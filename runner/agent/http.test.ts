import { createServer, type Server } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { paths } from '@outrider/protocol';
import { createTransport, type Transport, type TransportOptions } from './http.ts';
import { TestOperator } from './testing/operator.ts';

let operator: TestOperator;
let proxy: Server;
let proxyUrl: string;
const tunnelled: (string | undefined)[] = [];
const transports: Transport[] = [];

beforeEach(async () => {
  operator = await TestOperator.start();
  proxy = createServer();
  proxy.on('connect', (request, client, head) => {
    tunnelled.push(request.url);
    const { hostname, port } = new URL(`http://${request.url}`);
    const upstream = connect(Number(port), hostname, () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(client).pipe(upstream);
    });
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  tunnelled.length = 0;
});
afterEach(async () => {
  await Promise.all(transports.splice(0).map((transport) => transport.close()));
  await operator.stop();
  proxy.closeAllConnections();
  await new Promise((resolve) => proxy.close(resolve));
});

const fetchCa = async (options: Partial<TransportOptions>): Promise<string> => {
  const transport = createTransport({ url: operator.url, ca: operator.certificates.ca, ...options });
  transports.push(transport);
  const request = { lane: 'control', method: 'GET', path: paths.ca } as const;
  await transport.send(request);
  return (await transport.send(request)).text;
};

test('a proxy is tunnelled through, TLS ends at the operator, and one connection serves both requests', async () => {
  expect(await fetchCa({ proxy: { httpsProxy: proxyUrl } })).toBe(operator.certificates.ca);
  expect(tunnelled).toEqual([new URL(operator.url).host]);
});

test('a host in NO_PROXY is reached directly', async () => {
  const noProxy = 'example.com,127.0.0.1';
  expect(await fetchCa({ proxy: { httpsProxy: proxyUrl, noProxy } })).toBe(operator.certificates.ca);
  expect(tunnelled).toEqual([]);
});

test('a proxy that cannot be reached is an unreachable operator', async () => {
  await expect(fetchCa({ proxy: { httpsProxy: 'http://127.0.0.1:1' } })).rejects.toMatchObject({
    code: 'OperatorUnreachable',
    message: expect.stringContaining('ECONNREFUSED') as string,
  });
});

test('a certificate of a CA that is not trusted is a mismatch, and nothing is sent', async () => {
  const transport = createTransport({ url: operator.url });
  transports.push(transport);
  await expect(
    transport.send({ lane: 'control', method: 'POST', path: paths.register, body: '{}' }),
  ).rejects.toMatchObject({
    code: 'CertificateMismatch',
  });
  expect(operator.registrations).toBe(0);
});
