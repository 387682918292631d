import { createDecipheriv, createHmac } from 'node:crypto';

/** Bytes with the position in the trace at which they were carried. */
export interface Piece {
  readonly at: number;
  readonly bytes: Buffer;
}

/** Traffic secrets of a connection, as `--tls-keylog` writes them. */
export interface Secrets {
  client?: Buffer;
  server?: Buffer;
}

/** By the client's random number, in hexadecimal. */
export const readKeyLog = (text: string): Map<string, Secrets> => {
  const found = new Map<string, Secrets>();
  for (const line of text.split('\n')) {
    const [label, random = '', secret = ''] = line.split(' ');
    const secrets = found.get(random) ?? {};
    if (label === 'CLIENT_TRAFFIC_SECRET_0') secrets.client = Buffer.from(secret, 'hex');
    if (label === 'SERVER_TRAFFIC_SECRET_0') secrets.server = Buffer.from(secret, 'hex');
    found.set(random, secrets);
  }
  return found;
};

const suites: Readonly<Record<number, { readonly hash: string; readonly keyBytes: 16 | 32 }>> = {
  0x1301: { hash: 'sha256', keyBytes: 16 },
  0x1302: { hash: 'sha384', keyBytes: 32 },
};

/** HKDF-Expand-Label of RFC 8446 with an empty context, for at most one block. */
const expand = (hash: string, secret: Buffer, label: string, length: number): Buffer => {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
};

const headerBytes = 5;
const tagBytes = 16;
const applicationData = 23;

interface Opener {
  /** Undefined when it was sealed with another key. */
  open(record: Buffer): Buffer | undefined;
}

const createOpener = (suite: number, secret: Buffer): Opener => {
  const parameters = suites[suite];
  if (parameters === undefined) throw new Error(`no cipher suite 0x${suite.toString(16)} is known here`);
  const key = expand(parameters.hash, secret, 'key', parameters.keyBytes);
  const iv = expand(parameters.hash, secret, 'iv', 12);
  let sequence = 0n;
  return {
    open: (record) => {
      const nonce = Buffer.from(iv);
      nonce.writeBigUInt64BE(nonce.readBigUInt64BE(4) ^ sequence, 4);
      const decipher = createDecipheriv(`aes-${parameters.keyBytes === 32 ? 256 : 128}-gcm`, key, nonce);
      decipher.setAAD(record.subarray(0, headerBytes));
      decipher.setAuthTag(record.subarray(-tagBytes));
      try {
        const plain = Buffer.concat([
          decipher.update(record.subarray(headerBytes, -tagBytes)),
          decipher.final(),
        ]);
        sequence += 1n;
        return plain;
      } catch {
        return undefined;
      }
    },
  };
};

interface Stream {
  readonly bytes: Buffer;
  /** Position of each piece by its end. */
  readonly ends: readonly { readonly end: number; readonly at: number }[];
}

const joined = (pieces: readonly Piece[]): Stream => {
  let end = 0;
  const ends = pieces.map(({ bytes, at }) => ({ end: (end += bytes.length), at }));
  return { bytes: Buffer.concat(pieces.map(({ bytes }) => bytes)), ends };
};

/** Position at which the byte was carried. */
const positionOf = ({ ends }: Stream, offset: number): number => {
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle]?.end ?? 0) > offset) high = middle;
    else low = middle + 1;
  }
  return ends[low]?.at ?? 0;
};

/** Application data of one direction. What comes before its first record is the handshake. */
const decrypt = (stream: Stream, opener: Opener): Piece[] => {
  const plain: Piece[] = [];
  const { bytes } = stream;
  for (let at = 0; at + headerBytes <= bytes.length;) {
    const next = at + headerBytes + bytes.readUInt16BE(at + 3);
    const text =
      bytes[at] === applicationData && next <= bytes.length
        ? opener.open(bytes.subarray(at, next))
        : undefined;
    // The content's own type is its last byte that is not zero; tickets of the handshake come under the same keys.
    const end = text === undefined ? 0 : text.findLastIndex((byte) => byte !== 0);
    if (text !== undefined && text[end] === applicationData)
      plain.push({ at: positionOf(stream, at), bytes: text.subarray(0, end) });
    at = next;
  }
  return plain;
};

const randomAt = headerBytes + 6;
const suiteOf = (hello: Buffer): number => hello.readUInt16BE(randomAt + 33 + (hello[randomAt + 32] ?? 0));

/**
 * Both directions of a TLS 1.3 connection in clear; undefined when it is another program's.
 * @throws Error when the trace does not hold its beginning.
 */
export const decryptConnection = (
  connection: { readonly client: readonly Piece[]; readonly server: readonly Piece[] },
  secrets: ReadonlyMap<string, Secrets>,
): { client: Piece[]; server: Piece[] } | undefined => {
  const [client, server] = [joined(connection.client), joined(connection.server)];
  if (server.bytes.length < 80) return undefined;
  const found = secrets.get(client.bytes.subarray(randomAt, randomAt + 32).toString('hex'));
  if (found?.client === undefined || found.server === undefined) return undefined;
  const suite = suiteOf(server.bytes);
  return {
    client: decrypt(client, createOpener(suite, found.client)),
    server: decrypt(server, createOpener(suite, found.server)),
  };
};

/** An HTTP/1.1 message with its body as it was before any framing. */
export interface HttpMessage {
  /** Request line or status line, and headers with names in lower case. */
  readonly start: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Where its first byte was sent. */
  readonly first: number;
  /** Where its last byte was carried. */
  readonly last: number;
}

const headersOf = (lines: readonly string[]): Record<string, string> =>
  Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.slice(line.indexOf(':') + 1).trim(),
    ]),
  );

/** The body that begins at `from` and where it ends; undefined when it is not whole. */
const readBody = (
  bytes: Buffer,
  from: number,
  headers: Readonly<Record<string, string>>,
): { body: Buffer; end: number } | undefined => {
  if (headers['transfer-encoding'] !== 'chunked') {
    const end = from + Number(headers['content-length'] ?? 0);
    return end <= bytes.length ? { body: bytes.subarray(from, end), end } : undefined;
  }
  const parts: Buffer[] = [];
  for (let at = from; ;) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, line).toString(), 16);
    const next = line + 2 + size + 2;
    if (next > bytes.length) return undefined;
    if (size === 0) return { body: Buffer.concat(parts), end: next };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = next;
  }
};

/** Messages of one direction, as far as they are whole. */
export const readMessages = (pieces: readonly Piece[]): HttpMessage[] => {
  const stream = joined(pieces);
  const { bytes } = stream;
  const messages: HttpMessage[] = [];
  for (let at = 0; at < bytes.length;) {
    const blank = bytes.indexOf('\r\n\r\n', at);
    if (blank < 0) break;
    const [start = '', ...lines] = bytes.subarray(at, blank).toString('latin1').split('\r\n');
    const headers = headersOf(lines);
    const read = readBody(bytes, blank + 4, headers);
    if (read === undefined) break;
    const last = positionOf(stream, read.end - 1);
    messages.push({ start, headers, body: read.body, first: positionOf(stream, at), last });
    at = read.end;
  }
  return messages;
};
