import { crc32 } from 'node:zlib';

/** File header: names the format and its version. */
export const magic = new TextEncoder().encode('outrider-journal-1\n');

/** u32 length and u32 CRC-32 of the JSON that follows, big endian. */
const headerBytes = 8;

/** No record is longer: a length beyond it is damage. */
const maxRecordBytes = 16_777_216;

/** Most that `encodeRecord` adds to the JSON. */
const placeBytes = 32;

/** The checksum covers the length too. */
const checksum = (length: number, body: Uint8Array): number => crc32(body, length);

/** The JSON of a record, still without its place. */
export const serialize = (record: object): string => {
  const json = JSON.stringify(record);
  const length = Buffer.byteLength(json) + placeBytes;
  if (length > maxRecordBytes) throw new RangeError(`journal record of ${length} bytes`);
  return json;
};

/**
 * A record as it stands in the file. `synced` is an offset up to which the file was on disk before this record was
 * written: that is how damage in what was acknowledged is told from a tail that was never acknowledged.
 */
export const encodeRecord = (json: string, synced: number): Uint8Array => {
  const body = Buffer.from(`{"b":${synced},${json.slice(1)}`);
  const bytes = Buffer.allocUnsafe(headerBytes + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.writeUInt32BE(checksum(body.length, body), 4);
  bytes.set(body, headerBytes);
  return bytes;
};

/** A whole file at once, for what is synced before anything reads it. Ends in a mark that vouches for what is before it. */
export const encodeSnapshot = (records: Iterable<object>): Uint8Array => {
  const blocks: Uint8Array[] = [magic];
  let size = magic.length;
  const add = (record: object): void => {
    const bytes = encodeRecord(serialize(record), size);
    blocks.push(bytes);
    size += bytes.length;
  };
  for (const record of records) add(record);
  add({ k: 'mark' });
  return Buffer.concat(blocks);
};

export interface Decoded {
  readonly records: unknown[];
  /** Where the next record goes. */
  readonly end: number;
  /** Bytes behind `end` were synced, and so acknowledged, before a record that follows: they are lost. */
  readonly damaged: boolean;
}

/**
 * Records from the start of a journal file up to the first that is cut or damaged. Records are synced in order, and
 * acknowledged after that: what is behind it was acknowledged only if a later record tells that it was on disk.
 *
 * @throws RangeError when the file is not a journal of this version.
 */
export const decodeRecords = (file: Buffer): Decoded => {
  const records: unknown[] = [];
  // The header is synced before the first record: a file shorter than it never held one.
  if (file.length < magic.length) return { records, end: 0, damaged: false };
  if (!file.subarray(0, magic.length).equals(magic)) throw new RangeError('not a journal of this version');
  let end = magic.length;
  for (let next = recordAt(file, end); next !== undefined; next = recordAt(file, end)) {
    records.push(JSON.parse(next.toString()));
    end += headerBytes + next.length;
  }
  return { records, end, damaged: wasSynced(file, end) };
};

const recordAt = (file: Buffer, at: number): Buffer | undefined => {
  if (file.length - at < headerBytes) return undefined;
  const length = file.readUInt32BE(at);
  const start = at + headerBytes;
  // Zeros, which a power cut may leave, have the checksum of a record of no bytes.
  if (length === 0 || length > maxRecordBytes || file.length - start < length) return undefined;
  const body = file.subarray(start, start + length);
  return file.readUInt32BE(at + 4) === checksum(length, body) ? body : undefined;
};

/** Looks for a whole record anywhere behind `end` that was written when the file was on disk beyond `end`. */
const wasSynced = (file: Buffer, end: number): boolean => {
  for (let brace = file.indexOf(0x7b, end + headerBytes); brace >= 0; brace = file.indexOf(0x7b, brace + 1)) {
    const body = recordAt(file, brace - headerBytes);
    if (body === undefined) continue;
    const record = JSON.parse(body.toString()) as { readonly b?: unknown };
    if (typeof record.b === 'number' && record.b > end) return true;
  }
  return false;
};
