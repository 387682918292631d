import { createHash } from 'node:crypto';
import { encodeFrame, type AttemptRef, type StreamName } from '@outrider/protocol';

export const ref: AttemptRef = { task: 'task-1', epoch: 1 };
export const noon = Date.UTC(2026, 10, 22, 12);

export const frames = (...pieces: (readonly [StreamName, string])[]): Buffer =>
  Buffer.concat(
    pieces.map(([stream, text], seq) => encodeFrame({ seq, stream, ts: 1_000n, payload: Buffer.from(text) })),
  );
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
export const expected = (bytes: Uint8Array) => ({ length: bytes.length, sha256: sha256(bytes) });
