import { Server, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { paceHandshakes } from './handshakes.ts';

const open = (begun: Socket[]): Server => {
  const server = new Server((socket) => begun.push(socket));
  paceHandshakes(server);
  return server;
};

it('begins a few handshakes a turn, in the order of arrival, until none waits', async () => {
  const begun: Socket[] = [];
  const server = open(begun);
  const sockets = Array.from({ length: 10 }, () => new Socket());
  for (const socket of sockets) server.emit('connection', socket);
  const counts: number[] = [];
  while (begun.length < sockets.length) {
    await nextTurn();
    counts.push(begun.length);
  }
  expect(counts).toEqual([2, 4, 6, 8, 10]);
  expect(begun).toEqual(sockets);
  server.emit('connection', new Socket());
  await nextTurn();
  expect(begun).toHaveLength(11);
});

it('survives clients that give up while they wait', async () => {
  const begun: Socket[] = [];
  const server = open(begun);
  const [gone, stays] = [new Socket(), new Socket()];
  server.emit('connection', gone);
  server.emit('connection', stays);
  gone.destroy(new Error('reset'));
  await nextTurn();
  await nextTurn();
  expect(begun).toEqual([stays]);
});
