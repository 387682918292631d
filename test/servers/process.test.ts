import { createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Footprint } from './footprint.ts';
import { markedProcesses } from './marked.ts';
import { parseStat } from './pids.ts';
import { freePort } from './ports.ts';
import { tailOf, tcpAccepts } from './probes.ts';
import { startProcess } from './process.ts';
import { waitFor } from './wait.ts';

const started: Footprint[] = [];
afterEach(async () => {
  for (const footprint of started.splice(0)) await footprint.end();
});

function footprint(): Footprint {
  const made = Footprint.temporary('process-test');
  started.push(made);
  return made;
}

test('the error of a server that ends early shows the end of its log', async () => {
  const starting = startProcess(footprint(), {
    name: 'broken',
    command: 'sh',
    args: ['-c', 'echo "cannot bind 0.0.0.0:1" >&2; exit 1'],
    ready: () => false,
  });
  await expect(starting).rejects.toThrow(
    /^broken ended before it was ready; the end of .*broken\.log:\ncannot bind 0\.0\.0\.0:1$/,
  );
});

test('a server that never becomes ready is ended, and the error says how long it had', async () => {
  const owner = footprint();
  const starting = startProcess(owner, {
    name: 'slow',
    command: 'sleep',
    args: ['600'],
    ready: () => false,
    readyTimeoutMs: 200,
  });
  await expect(starting).rejects.toThrow(/^waited 0\.2 s for slow to become ready/);
  expect(owner.traces.map((trace) => trace.kind)).toEqual(['folder']);
});

test('a command that does not exist is named in the error', async () => {
  const starting = startProcess(footprint(), {
    name: 'missing',
    command: '/no/such/program',
    args: [],
    ready: () => false,
  });
  await expect(starting).rejects.toThrow('/no/such/program');
});

test('a server that ignores SIGTERM is killed when its signal is SIGKILL', async () => {
  const owner = footprint();
  const server = await startProcess(owner, {
    name: 'stubborn',
    command: 'sh',
    args: ['-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'],
    stopSignal: 'SIGKILL',
    ready: () => tailOf(`${owner.folder}/logs/stubborn.log`) === 'ready',
  });
  await server.stop();
  expect(server.running()).toBe(false);
});

test.runIf(process.platform === 'linux')(
  'a marked process is found and ended after it left its session and parent',
  async () => {
    const owner = footprint();
    const mark = { variable: 'TEST_MARK', value: `v${process.pid}` };
    owner.add({ kind: 'marked', ...mark });
    const env = { [mark.variable]: mark.value };
    const args = ['-c', 'setsid sleep 600 & exit 0'];
    await startProcess(owner, { name: 'daemon', command: 'sh', args, env });
    const commands = (): string[] => markedProcesses(mark.variable, mark.value).map(({ command }) => command);
    await waitFor('the shell to be gone and the daemon to run', () => commands().join() === 'sleep 600');
    await owner.end();
    expect(commands()).toEqual([]);
  },
);

test('the state and start time of a process are read past a name with spaces and parentheses', () => {
  const fields = Array.from({ length: 30 }, (_, index) => String(index + 4));
  const stat = `42 (a ) S (b) c) R ${fields.join(' ')}`;
  expect(parseStat(stat)).toEqual({ state: 'R', startTime: '22' });
});

test('a free port accepts no connection until something listens there', async () => {
  const port = await freePort();
  expect(await tcpAccepts('127.0.0.1', port)).toBe(false);
  const server = createServer().listen(port, '127.0.0.1');
  await waitFor('the port to accept', () => tcpAccepts('127.0.0.1', port));
  server.close();
});

test('a wait that runs out says for what it waited and what stood in the way', async () => {
  const waiting = waitFor('the light', () => Promise.reject(new Error('it is dark')), {
    timeoutMs: 60,
    intervalMs: 5,
    detail: () => 'the end of the log',
  });
  await expect(waiting).rejects.toThrow('waited 0.06 s for the light\nit is dark\nthe end of the log');
});
