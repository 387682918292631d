import { decodeFrames, type Frame } from '@outrider/protocol';

/** Decodes frames from bytes that arrive in any pieces. Holds at most one incomplete frame. */
export class FrameReader {
  #pending: Uint8Array = new Uint8Array();

  /** Bytes of the incomplete frame at the end. */
  get pending(): number {
    return this.#pending.length;
  }

  /** @throws RangeError when the bytes are not frames; then nothing has changed. */
  push(bytes: Uint8Array): Frame[] {
    const joined = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const { frames, rest } = decodeFrames(joined);
    this.#pending = joined.slice(rest);
    return frames;
  }
}
