import { createServer } from 'node:net';
import ssh2 from 'ssh2';
import type { Server } from 'ssh2';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectSsh, type SshOptions } from './ssh-connection.ts';
import { SshPool, type LeasedChannel } from './ssh-pool.ts';

let server: Server;
let connections = 0;
let options: SshOptions;

/** A server on loopback that lets `echo`-like commands hang until their stdin ends, as a step does. */
beforeAll(async () => {
  const host = ssh2.utils.generateKeyPairSync('ed25519');
  server = new ssh2.Server({ hostKeys: [host.private] }, (client) => {
    connections++;
    client.on('error', () => undefined);
    client.on('authentication', (context) => {
      if (context.method === 'password') context.accept();
      else context.reject(['password']);
    });
    client.on('session', (accept) => {
      accept().on('exec', (acceptExec) => {
        const stream = acceptExec();
        stream.resume();
        stream.on('end', () => {
          stream.exit(0);
          stream.end();
        });
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const hostKey = { host: '127.0.0.1', port, pinned: host.public };
  options = { host: '127.0.0.1', port, user: 'u', auth: { password: 'p' }, hostKey };
});
afterAll(() => server.close());

const finish = async (leased: LeasedChannel): Promise<void> => {
  leased.channel.resume();
  leased.channel.end();
  await new Promise<void>((resolve) => leased.channel.once('close', () => resolve()));
  leased.release();
};

describe('a pool of connections', () => {
  test('carries eight commands on a connection and opens another for the ninth', async () => {
    const pool = new SshPool();
    const before = connections;
    const first = await pool.exec({ namespace: 'a' }, options, 'x');
    const seven = await Promise.all(
      Array.from({ length: 7 }, () => pool.exec({ namespace: 'a' }, options, 'x')),
    );
    expect([first.reused, ...seven.map((each) => each.reused), connections - before]).toEqual([
      false,
      true,
      true,
      true,
      true,
      true,
      true,
      true,
      1,
    ]);
    const ninth = await pool.exec({ namespace: 'a' }, options, 'x');
    expect([ninth.reused, connections - before, pool.size]).toEqual([false, 2, 2]);
    await Promise.all([first, ...seven, ninth].map(finish));
    pool.close();
  });

  test.each([
    ['namespace', { namespace: 'b' }, {}],
    ['user', { namespace: 'a' }, { user: 'other' }],
    ['credential', { namespace: 'a' }, { auth: { password: 'other' } }],
  ])('shares none between two that differ in their %s', async (_what, key, change) => {
    const pool = new SshPool();
    await finish(await pool.exec({ namespace: 'a' }, options, 'x'));
    const leased = await pool.exec(key, { ...options, ...change }, 'x');
    expect(leased.reused).toBe(false);
    await finish(leased);
    pool.close();
  });

  test('closes a connection that nobody has used for the idle time', async () => {
    const pool = new SshPool({ idleMs: 50 });
    const leased = await pool.exec({ namespace: 'a' }, options, 'x');
    await finish(leased);
    await leased.connection.closed;
    expect([leased.connection.open, pool.size]).toEqual([false, 0]);
  });

  test('keeps a few unused connections, those that were used last', async () => {
    const pool = new SshPool({ maxIdle: 2 });
    const use = async (user: string): Promise<LeasedChannel> => {
      const leased = await pool.exec({ namespace: 'a' }, { ...options, user }, 'x');
      await finish(leased);
      return leased;
    };
    const first = await use('first');
    const second = await use('second');
    expect((await use('first')).reused).toBe(true);
    await use('third');
    await second.connection.closed;
    expect([first.connection.open, pool.size]).toEqual([true, 2]);
    pool.close();
  });

  test('replaces a kept connection that has died', async () => {
    const pool = new SshPool();
    const first = await pool.exec({ namespace: 'a' }, options, 'x');
    await finish(first);
    first.connection.end();
    const second = await pool.exec({ namespace: 'a' }, options, 'x');
    expect(second.reused).toBe(false);
    await finish(second);
    pool.close();
  });
});

test('a port that accepts and says nothing is TargetUnreachable after the time for the handshake', async () => {
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const address = silent.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  await expect(connectSsh({ ...options, port, readyTimeoutMs: 200 })).rejects.toMatchObject({
    code: 'TargetUnreachable',
    message: `Cannot reach 127.0.0.1:${port}: it accepted the connection but did not answer as an SSH server within 0.2 s.`,
  });
  silent.close();
});
