import { createServer, type Server, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Footprint } from '../servers/footprint.ts';
import { run } from '../servers/command.ts';
import { createNetns, type Netns } from '../servers/netns.ts';
import { startProcess } from '../servers/process.ts';
import { waitFor } from '../servers/wait.ts';

/** Connects and prints `connected`, or the error's code; gives up after a second. */
const CONNECT = `
const [host, port] = process.argv.slice(1);
const socket = require('net').connect({ host, port: Number(port) });
const end = (said) => { console.log(said); process.exit(); };
socket.once('connect', () => end('connected')).once('error', (error) => end(error.code));
setTimeout(() => end('silence'), 1000);
`;

/** Connects and writes a line with a growing number for ever. */
const COUNT = `
const [host, port] = process.argv.slice(1);
const socket = require('net').connect({ host, port: Number(port) });
let count = 0;
setInterval(() => socket.write(String(count++) + '\\n'), 20);
`;

describe.runIf(process.getuid?.() === 0)('a network namespace', () => {
  let footprint: Footprint;
  let netns: Netns;
  let server: Server;
  let port = 0;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    footprint = Footprint.temporary('netns-test');
    netns = await createNetns({ footprint, name: 'test' });
    server = createServer((socket) => sockets.push(socket.on('error', () => {})));
    server.listen(0, netns.hostAddress);
    await once(server, 'listening');
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    server.close();
    await footprint.end();
    expect((await run('ip', ['netns', 'list'])).stdout).not.toContain(netns.name);
  });

  const connect = async (): Promise<string> => {
    const program = [process.execPath, '-e', CONNECT, netns.hostAddress, String(port)];
    return (await run('env', [...netns.exec, ...program])).stdout.trim();
  };

  test('reaches what is allowed, and is refused at once by everything else', async () => {
    expect(await connect()).toBe('ECONNREFUSED');
    await netns.allow([{ host: netns.hostAddress, port: port === 1 ? 2 : 1 }]);
    expect(await connect()).toBe('ECONNREFUSED');
    await netns.allow([{ host: netns.hostAddress, port }]);
    expect(await connect()).toBe('connected');
  });

  test('hears nothing during a cut, and loses nothing of an open connection by it', async () => {
    await netns.allow([{ host: netns.hostAddress, port }]);
    let text = '';
    server.once('connection', (socket: Socket) => socket.on('data', (data) => (text += data.toString())));
    const program = [process.execPath, '-e', COUNT, netns.hostAddress, String(port)];
    await startProcess(footprint, { name: 'counter', command: 'env', args: [...netns.exec, ...program] });
    await waitFor('the first lines', () => text.split('\n').length > 5);

    await netns.cut();
    expect(await connect()).toBe('silence');
    const during = text;
    expect(await connect()).toBe('silence');
    expect(text).toBe(during);

    await netns.heal();
    const before = during.split('\n').length;
    await waitFor('lines after the cut', () => text.split('\n').length > before + 50);
    const numbers = text.split('\n').slice(0, -1).map(Number);
    expect(numbers).toEqual(numbers.map((_, index) => index));
  });
});
