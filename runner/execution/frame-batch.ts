import { frameHeaderBytes, streams, type StreamName } from '@outrider/protocol';

/** A batch is posted once it holds this much. */
export const batchBytes = 65_536;

/** Most payload in a frame made here: small enough that readers see a long line while it is written. */
export const framePayload = 32_768;

const capacity = batchBytes + frameHeaderBytes + framePayload;
const highWord = 2 ** 32;

/** Frames of one attempt, encoded in place one behind the other until they are taken together. */
export class FrameBatch {
  #bytes = new Uint8Array();
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #seq: number;

  /** @param frames How many the log has already. */
  constructor(frames = 0) {
    this.#seq = frames;
  }

  get length(): number {
    return this.#length;
  }

  /** `payload` is copied. The batch must be taken once it holds `batchBytes`. */
  add(stream: StreamName, ts: number, payload: Uint8Array): void {
    const at = this.#length;
    const end = at + frameHeaderBytes + payload.length;
    if (end > this.#bytes.length) this.#grow(end);
    this.#view.setUint32(at, this.#seq);
    // The stream takes the highest byte, the reserved bits are 0.
    this.#view.setUint32(at + 4, streams[stream] * 2 ** 24);
    this.#view.setUint32(at + 8, Math.floor(ts / highWord));
    this.#view.setUint32(at + 12, ts % highWord);
    this.#view.setUint32(at + 16, payload.length);
    this.#bytes.set(payload, at + frameHeaderBytes);
    this.#length = end;
    this.#seq += 1;
  }

  /** The frames so far, in a buffer that nobody else refers to. */
  take(): Uint8Array<ArrayBuffer> {
    const length = this.#length;
    this.#length = 0;
    // A small batch is copied out, so that a quiet attempt does not keep the journal's memory in large buffers.
    if (length * 2 < this.#bytes.length) return this.#bytes.slice(0, length);
    const bytes = this.#bytes.subarray(0, length);
    this.#use(new Uint8Array());
    return bytes;
  }

  #grow(atLeast: number): void {
    const grown = new Uint8Array(Math.min(capacity, Math.max(4096, atLeast * 2)));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#use(grown);
  }

  #use(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
