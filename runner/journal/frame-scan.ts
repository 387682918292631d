import { frameHeaderBytes, maxFramePayload, streams } from '@outrider/protocol';

export interface FrameScan {
  /** Bytes of whole frames from the start, at most the budget. */
  readonly bytes: number;
  readonly frames: number;
  /** Payload in those frames. */
  readonly payload: number;
  /** The last of them is a gap frame. */
  readonly endsInGap: boolean;
}

const highestStream = Math.max(...Object.values(streams));

/**
 * Measures the whole frames at the start of `bytes` without copying them. Stops at the first byte that cannot belong
 * to one: a cut frame, a frame over the budget, or what a power cut left in a file. `firstSeq`, where given, is the
 * number that the first frame must have; each later one must have the next.
 */
export const scanFrames = (bytes: Uint8Array, budget: number, firstSeq?: number): FrameScan => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = Math.min(bytes.length, budget);
  let at = 0;
  let frames = 0;
  let stream = 0;
  while (end - at >= frameHeaderBytes) {
    const length = view.getUint32(at + 16);
    const next = view.getUint8(at + 4);
    const known = length <= maxFramePayload && next >= 1 && next <= highestStream;
    if (!known || end - at - frameHeaderBytes < length) break;
    if (firstSeq !== undefined && view.getUint32(at) !== firstSeq + frames) break;
    stream = next;
    at += frameHeaderBytes + length;
    frames += 1;
  }
  return { bytes: at, frames, payload: at - frames * frameHeaderBytes, endsInGap: stream === streams.gap };
};
