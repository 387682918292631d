import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Place {
  readonly host: string;
  readonly port: number;
}

/** What stands before several replicas: one address, whose connections go to them in turn. */
export interface Balancer {
  readonly host: string;
  readonly port: number;
  /** Connections that each place has been given, by `host:port`. */
  readonly given: ReadonlyMap<string, number>;
  /** Only these get new connections; the open ones stay. */
  use(places: readonly Place[]): void;
  /** Cuts every connection that is open. */
  cut(): void;
  close(): Promise<void>;
}

const nameOf = ({ host, port }: Place): string => `${host}:${port}`;

/** A connection to the first of these places that takes one. */
const connectToOne = async (
  places: readonly Place[],
): Promise<{ socket: Socket; place: Place } | undefined> => {
  for (const place of places) {
    const socket = connect(place);
    const isOpen = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    if (isOpen) return { socket, place };
  }
  return undefined;
};

/** Bytes both ways; the end or failure of one side is that of the other. */
const join = (one: Socket, other: Socket): void => {
  one.pipe(other).pipe(one);
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const)
    from.once('error', () => to.destroy()).once('close', () => to.destroy());
};

/**
 * Spreads TCP connections over places, in turn, as a Service or a virtual IP does; TLS passes through. A place that refuses is
 * passed over.
 */
export const startBalancer = async (
  options: { readonly host?: string; readonly port?: number } = {},
): Promise<Balancer> => {
  const { host = '127.0.0.1', port = 0 } = options;
  const given = new Map<string, number>();
  const open = new Set<Socket>();
  let places: readonly Place[] = [];
  let turn = 0;

  const serve = async (client: Socket): Promise<void> => {
    client.pause();
    client.once('error', () => client.destroy());
    turn += 1;
    const first = turn % Math.max(1, places.length);
    const found = await connectToOne([...places.slice(first), ...places.slice(0, first)]);
    if (found === undefined || client.destroyed) {
      client.destroy();
      found?.socket.destroy();
      return;
    }
    given.set(nameOf(found.place), (given.get(nameOf(found.place)) ?? 0) + 1);
    join(client, found.socket);
  };

  const server = createServer({ noDelay: true }, (client) => {
    open.add(client);
    client.once('close', () => open.delete(client));
    void serve(client);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  const cut = (): void => {
    for (const client of open) client.destroy();
  };
  return {
    host,
    port: (server.address() as AddressInfo).port,
    given,
    use: (next) => {
      places = next;
    },
    cut,
    close: () => {
      cut();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
};
