import { decryptConnection, readMessages, type Piece, type Secrets } from './connection.ts';
import { carried, descriptor, type SystemCall } from './system-calls.ts';

/** One call of the runner protocol as one of its ends saw it. */
export interface Exchange {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly request: Buffer;
  readonly status: number;
  readonly answer: Buffer;
  /** Where the first byte of the request was carried. */
  readonly asked: number;
  /** Where its last byte was carried. */
  readonly arrived: number;
  /** Where the first byte of the answer was carried. */
  readonly answered: number;
}

const incoming = new Set(['read', 'readv', 'recvfrom', 'recvmsg']);
const outgoing = new Set(['write', 'writev', 'sendto', 'sendmsg']);

interface Connection {
  readonly client: Piece[];
  readonly server: Piece[];
}

/** Which end of which connection to `port` sent the bytes of a call; undefined for every other call. */
const sentBy = (port: number, call: SystemCall): { socket: string; end: keyof Connection } | undefined => {
  const isOutgoing = outgoing.has(call.name);
  if (call.result === 0 || !(isOutgoing || incoming.has(call.name))) return undefined;
  const socket = descriptor(call.args)?.name ?? '';
  const [, from, to] = /^TCP:\[.*:(\d+)->.*:(\d+)\]$/.exec(socket) ?? [];
  const isServer = Number(from) === port;
  if (!isServer && Number(to) !== port) return undefined;
  return { socket, end: isOutgoing === isServer ? 'server' : 'client' };
};

/** Both directions of each connection to `port`, whichever end was traced. */
const connectionsTo = (calls: readonly SystemCall[], port: number): Connection[] => {
  const found = new Map<string, Connection>();
  for (const call of calls) {
    const place = sentBy(port, call);
    if (place === undefined) continue;
    const connection = found.get(place.socket) ?? { client: [], server: [] };
    found.set(place.socket, connection);
    // What is sent may be seen from when the call begins; what is received is known when it returns.
    const at = outgoing.has(call.name) ? call.begun : call.ended;
    connection[place.end].push({ at, bytes: carried(call) });
  }
  return [...found.values()];
};

/** Every whole exchange with the service at `port`, in the order of the answers. */
export const exchangesWith = (
  calls: readonly SystemCall[],
  port: number,
  secrets: ReadonlyMap<string, Secrets>,
): Exchange[] => {
  const exchanges: Exchange[] = [];
  for (const connection of connectionsTo(calls, port)) {
    const plain = decryptConnection(connection, secrets);
    if (plain === undefined) continue;
    const answers = readMessages(plain.server);
    for (const [i, request] of readMessages(plain.client).entries()) {
      const answer = answers[i];
      if (answer === undefined) break;
      exchanges.push({
        path: request.start.split(' ')[1] ?? '',
        headers: request.headers,
        request: request.body,
        status: Number(answer.start.split(' ')[1]),
        answer: answer.body,
        asked: request.first,
        arrived: request.last,
        answered: answer.first,
      });
    }
  }
  return exchanges.sort((a, b) => a.answered - b.answered);
};
