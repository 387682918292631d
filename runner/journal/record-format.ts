import { crc32 } from 'node:zlib';

/** File header: names the format and its version. */
export const magic = new TextEncoder().encode('outrider-journal-1\n');

/** u32 length and u32 CRC-32 of the JSON that follows, big endian. */
const headerBytes = 8;

/** No record is longer: a length beyond it is damage. */
const maxRecordBytes = 16_777_216;

/** The checksum covers the length too, so that a run of zeros is never a record. */
const checksum = (length: number, body: Uint8Array): number => crc32(body, length);

export const encodeRecord = (record: unknown): Uint8Array => {
  const body = Buffer.from(JSON.stringify(record));
  if (body.length > maxRecordBytes) throw new RangeError(`journal record of ${body.length} bytes`);
  const bytes = Buffer.allocUnsafe(headerBytes + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.writeUInt32BE(checksum(body.length, body), 4);
  bytes.set(body, headerBytes);
  return bytes;
};

/**
 * Records from the start of a journal file up to the first that is cut or damaged; `end` is where the next one goes.
 * Nothing behind a damaged record was acknowledged: records are synced in order, and acknowledged after that.
 *
 * @throws RangeError when the file is not a journal of this version.
 */
export const decodeRecords = (file: Buffer): { records: unknown[]; end: number } => {
  const records: unknown[] = [];
  // The header is synced before the first record: a file shorter than it never held one.
  if (file.length < magic.length) return { records, end: 0 };
  if (!file.subarray(0, magic.length).equals(magic)) throw new RangeError('not a journal of this version');
  let end = magic.length;
  for (let next = recordAt(file, end); next !== undefined; next = recordAt(file, end)) {
    records.push(JSON.parse(next.toString()));
    end += headerBytes + next.length;
  }
  return { records, end };
};

const recordAt = (file: Buffer, at: number): Buffer | undefined => {
  if (file.length - at < headerBytes) return undefined;
  const length = file.readUInt32BE(at);
  const start = at + headerBytes;
  if (length > maxRecordBytes || file.length - start < length) return undefined;
  const body = file.subarray(start, start + length);
  return file.readUInt32BE(at + 4) === checksum(length, body) ? body : undefined;
};
