import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** Stands between a client and PostgreSQL, and can cut the line at a commit or keep its answer back. */
export interface CommitCutter {
  readonly port: number;
  /**
   * Cuts the line of the next commit: `Before` the server hears of it, so that it rolls back, or `After` it has committed,
   * before its answer reaches the client.
   */
  cutNext(when: 'Before' | 'After'): void;
  /** Keeps back the answer to the next commit, which the server has made by then, until the returned function is called. */
  holdNext(): () => void;
  /** Commits that were cut or held. */
  cuts(): number;
  close(): void;
}

/** As the driver sends it, and as the server answers it. */
const commitRequest = Buffer.from('COMMIT\0');

export async function startCommitCutter(target: { host: string; port: number }): Promise<CommitCutter> {
  let armed: 'Before' | 'After' | 'Hold' | undefined;
  let cuts = 0;
  let release: () => void = () => undefined;
  const sockets = new Set<Socket>();

  const cut = (...pair: readonly Socket[]): void => {
    armed = undefined;
    cuts += 1;
    for (const socket of pair) socket.destroy();
  };
  const server = createServer((client) => {
    const upstream = connect(target);
    let committing: 'After' | 'Hold' | undefined;
    const held: Buffer[] = [];
    const hold = (): void => {
      cuts += 1;
      upstream.pause();
      release = () => {
        client.write(Buffer.concat(held));
        upstream.resume();
      };
    };
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
      if (isCommit && armed !== 'Before') {
        committing = armed;
        armed = undefined;
      }
      upstream.write(chunk);
    });
    upstream.on('data', (chunk) => {
      const isAnswer = committing !== undefined && chunk.includes(commitRequest);
      if (!isAnswer) client.write(chunk);
      else if (committing === 'After') cut(client, upstream);
      else {
        committing = undefined;
        held.push(chunk);
        hold();
      }
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
    holdNext: () => {
      armed = 'Hold';
      return () => release();
    },
    cuts: () => cuts,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
