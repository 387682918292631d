import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Stands between a client and PostgreSQL, and can cut the line at a commit. */
export interface CommitCutter {
  readonly port: number;
  /**
   * Cuts the line of the next commit: `Before` the server hears of it, so that it rolls back, or `After` it has committed,
   * before its answer reaches the client.
   */
  cutNext(when: 'Before' | 'After'): void;
  /** Commits that were cut. */
  cuts(): number;
  close(): void;
}

/** As the driver sends it, and as the server answers it. */
const commitRequest = Buffer.from('COMMIT\0');

export async function startCommitCutter(target: { host: string; port: number }): Promise<CommitCutter> {
  let armed: 'Before' | 'After' | undefined;
  let cuts = 0;
  const sockets = new Set<Socket>();

  const cut = (...pair: readonly Socket[]): void => {
    armed = undefined;
    cuts += 1;
    for (const socket of pair) socket.destroy();
  };
  const server = createServer((client) => {
    const upstream = connect(target);
    let isCommitting = false;
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      // A cut line is what this is for; the other side ends with it.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('data', (chunk) => {
      const isCommit = chunk.includes(commitRequest);
      if (isCommit && armed === 'Before') {
        cut(client, upstream);
        return;
      }
      if (isCommit && armed === 'After') isCommitting = true;
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      if (isCommitting && chunk.includes(commitRequest)) cut(client, upstream);
      else client.write(chunk);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cutNext: (when) => {
      armed = when;
    },
    cuts: () => cuts,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
