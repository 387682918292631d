/**
 * Log frames: what a runner journals, sends and the operator stores, byte for byte.
 *
 *   0        4      5       8                16      20
 *   | seq u32 | st u8 | 0 u24 | ts u64 (µs)    | len u32 | len bytes …
 *
 * Big endian. `seq` counts frames of one attempt from 0. Offsets in the protocol are offsets into this framed stream.
 */
export const frameHeaderBytes = 20;

/** A frame's payload is at most this long, so that a reader's memory is bounded. */
export const maxFramePayload = 65_536;

export const streams = { stdout: 1, stderr: 2, system: 3, gap: 4 } as const;
export type StreamName = keyof typeof streams;

export interface Frame {
  readonly seq: number;
  readonly stream: StreamName;
  /** Microseconds since the Unix epoch, by the runner's clock. */
  readonly ts: bigint;
  readonly payload: Uint8Array;
}

const streamNames = new Map<number, StreamName>(
  (Object.keys(streams) as StreamName[]).map((name) => [streams[name], name]),
);

export const encodeFrame = (frame: Frame): Uint8Array => {
  if (frame.payload.length > maxFramePayload)
    throw new RangeError(`frame payload of ${frame.payload.length} bytes`);
  const bytes = new Uint8Array(frameHeaderBytes + frame.payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, frame.seq);
  view.setUint8(4, streams[frame.stream]);
  view.setBigUint64(8, frame.ts);
  view.setUint32(16, frame.payload.length);
  bytes.set(frame.payload, frameHeaderBytes);
  return bytes;
};

/** Whole frames from the start of `bytes`; `rest` is the offset of the first byte of an incomplete one. */
export const decodeFrames = (bytes: Uint8Array): { frames: Frame[]; rest: number } => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const frames: Frame[] = [];
  let at = 0;
  while (bytes.length - at >= frameHeaderBytes) {
    const length = view.getUint32(at + 16);
    const stream = streamNames.get(view.getUint8(at + 4));
    if (length > maxFramePayload || stream === undefined)
      throw new RangeError(`not a log frame at byte ${at}`);
    if (bytes.length - at - frameHeaderBytes < length) break;
    const start = at + frameHeaderBytes;
    frames.push({
      seq: view.getUint32(at),
      stream,
      ts: view.getBigUint64(at + 8),
      payload: bytes.subarray(start, start + length),
    });
    at = start + length;
  }
  return { frames, rest: at };
};

/** Text of a `gap` frame: how many bytes of payload were left out, and why. */
export const gapText = (bytes: number, reason: string): string => `[${bytes} bytes left out: ${reason}]`;
