import { frameHeaderBytes } from '@outrider/protocol';
import { FrameReader } from './frame-reader.ts';
import { initialState, LineAssembler, type AssemblerState } from './line-assembler.ts';

/** A reader decodes at most this much before the line that it was asked for (plus one frame). */
const checkpointLines = 256;
const checkpointBytes = 262_144;

/** The assembler's state at a frame's start. */
export interface Checkpoint {
  readonly start: number;
  readonly state: AssemblerState;
}

export const beginning: Checkpoint = { start: 0, state: initialState };

/** What a log's bytes add up to so far: an incomplete frame, lines without end, and where the next checkpoint is due. */
export class LogFold {
  readonly #reader = new FrameReader();
  readonly #lines: LineAssembler;
  #checkpoint: Checkpoint;
  /** Offset of the first byte after the last whole frame. */
  #boundary: number;

  constructor(from: Checkpoint) {
    this.#checkpoint = from;
    this.#boundary = from.start;
    this.#lines = new LineAssembler(undefined, from.state);
  }

  /** Offset up to which bytes were taken. */
  get offset(): number {
    return this.#boundary + this.#reader.pending;
  }

  get lines(): AssemblerState {
    return this.#lines.state;
  }

  /**
   * Takes the bytes that follow; answers with the checkpoints that became due.
   * @throws RangeError when they are not frames; then nothing has changed.
   */
  take(bytes: Uint8Array): readonly Checkpoint[] {
    const due: Checkpoint[] = [];
    for (const frame of this.#reader.push(bytes)) {
      this.#lines.push(frame);
      this.#boundary += frameHeaderBytes + frame.payload.length;
      const { start, state } = this.#checkpoint;
      const isDue =
        this.#lines.next - state.next >= checkpointLines || this.#boundary - start >= checkpointBytes;
      if (!isDue) continue;
      this.#checkpoint = { start: this.#boundary, state: this.#lines.state };
      due.push(this.#checkpoint);
    }
    return due;
  }
}
