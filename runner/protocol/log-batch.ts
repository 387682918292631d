import type { AttemptRef } from './task.ts';

/** Content type of a log upload: a sequence of chunks, each of one attempt at one offset. */
export const logBatchType = 'application/vnd.outrider.log-batch';

/** Most bytes in one upload. */
export const maxLogBatchBytes = 1_048_576;

export interface LogChunk extends AttemptRef {
  /** Offset of `bytes` in the attempt's framed stream. */
  readonly offset: number;
  /** Framed bytes; frames may straddle chunks. */
  readonly bytes: Uint8Array;
}

/**
 * Chunk layout, big endian: u16 length of the task id, the id (UTF-8), u32 epoch, u64 offset, u32 length, bytes.
 * Session and generation travel in the headers `outrider-session` and `outrider-generation`.
 */
export const encodeLogBatch = (chunks: readonly LogChunk[]): Uint8Array => {
  const ids = chunks.map((chunk) => new TextEncoder().encode(chunk.task));
  const size = chunks.reduce((sum, chunk, i) => sum + 18 + (ids[i]?.length ?? 0) + chunk.bytes.length, 0);
  const out = new Uint8Array(size);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const [i, chunk] of chunks.entries()) {
    const id = ids[i] ?? new Uint8Array();
    view.setUint16(at, id.length);
    out.set(id, at + 2);
    at += 2 + id.length;
    view.setUint32(at, chunk.epoch);
    view.setBigUint64(at + 4, BigInt(chunk.offset));
    view.setUint32(at + 12, chunk.bytes.length);
    out.set(chunk.bytes, at + 16);
    at += 16 + chunk.bytes.length;
  }
  return out;
};

/** @throws RangeError when the bytes are not a whole number of chunks. */
export const decodeLogBatch = (bytes: Uint8Array): LogChunk[] => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: LogChunk[] = [];
  let at = 0;
  while (at < bytes.length) {
    const idLength = view.getUint16(at);
    const task = new TextDecoder().decode(bytes.subarray(at + 2, at + 2 + idLength));
    at += 2 + idLength;
    const epoch = view.getUint32(at);
    const offset = Number(view.getBigUint64(at + 4));
    const length = view.getUint32(at + 12);
    if (at + 16 + length > bytes.length) throw new RangeError('log batch ends inside a chunk');
    chunks.push({ task, epoch, offset, bytes: bytes.subarray(at + 16, at + 16 + length) });
    at += 16 + length;
  }
  return chunks;
};
