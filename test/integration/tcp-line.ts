import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A line to a server that can be cut: what is on its way is lost, and whoever connects is refused or left waiting. */
export interface TcpLine {
  readonly port: number;
  /** `Refused`: connections break at once. `Silent`: nothing comes through any more, and nobody is told. */
  cut(how: 'Refused' | 'Silent'): void;
  heal(): void;
  close(): Promise<void>;
}

export async function startTcpLine(to: { readonly host: string; readonly port: number }): Promise<TcpLine> {
  let state: 'Up' | 'Refused' | 'Silent' = 'Up';
  const pairs = new Set<readonly [Socket, Socket]>();
  const breakOff = (pair: readonly [Socket, Socket]): void => {
    pairs.delete(pair);
    for (const socket of pair) socket.destroy();
  };
  const server = createServer((near) => {
    if (state === 'Refused') {
      near.destroy();
      return;
    }
    const far = connect(to);
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('error', () => breakOff(pair));
      from.on('close', () => {
        // What a silent line swallowed was not heard at the other end, and neither is its end.
        if (state !== 'Silent') breakOff(pair);
      });
      from.on('data', (chunk) => {
        if (state === 'Up' && !into.write(chunk)) {
          from.pause();
          into.once('drain', () => from.resume());
        }
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    cut: (how) => {
      state = how;
      if (how === 'Refused') for (const pair of pairs) breakOff(pair);
    },
    heal: () => {
      state = 'Up';
      // A stream that has lost bytes is no use to anybody.
      for (const pair of pairs) breakOff(pair);
    },
    close: async () => {
      for (const pair of pairs) breakOff(pair);
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
