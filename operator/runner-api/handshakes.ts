import type { Server, Socket } from 'node:net';

/** A handshake costs about a millisecond: this many take no longer than other work may wait. */
const perTurn = 2;

const ignore = (): void => {};

/**
 * Begins a few TLS handshakes a turn of the event loop. When thousands of runners come back at once, the polls, accepts and
 * results of those that are back already do not wait for the handshakes of all others.
 */
export const paceHandshakes = (server: Server): void => {
  const begin = server.listeners('connection');
  const waiting: Socket[] = [];
  let scheduled = false;

  const turn = (): void => {
    for (const socket of waiting.splice(0, perTurn)) {
      socket.off('error', ignore);
      if (!socket.destroyed) for (const listener of begin) listener.call(server, socket);
    }
    scheduled = waiting.length > 0;
    if (scheduled) setImmediate(turn);
  };

  server.removeAllListeners('connection');
  server.on('connection', (socket) => {
    // Nobody else listens yet, and a client may give up while it waits.
    socket.on('error', ignore);
    waiting.push(socket);
    if (!scheduled) setImmediate(turn);
    scheduled = true;
  });
};
