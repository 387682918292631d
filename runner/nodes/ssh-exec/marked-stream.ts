const lineFeed = 0x0a;
const nothing = Buffer.alloc(0);

/** Output of the script, or a line that the target's own programs wrote between it, without its mark. */
export type Piece =
  | { readonly kind: 'Output'; readonly bytes: Buffer }
  | { readonly kind: 'Line'; readonly words: string[] };

/**
 * One stream of a channel on which lines that begin with a mark stand between the bytes of the script. The mark is random,
 * so that no output holds it by accident, and begins with a byte that text does not end with: only bytes that may begin a
 * mark are held back, and those are seen again after a lost line, since they count as not received.
 */
export class MarkedStream {
  readonly #mark: Buffer;
  #held: Buffer = nothing;

  constructor(mark: string) {
    this.#mark = Buffer.from(`${mark} `);
  }

  push(chunk: Buffer): Piece[] {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const pieces: Piece[] = [];
    for (;;) {
      const start = rest.indexOf(this.#mark);
      if (start < 0) break;
      if (start > 0) pieces.push({ kind: 'Output', bytes: rest.subarray(0, start) });
      rest = rest.subarray(start);
      const end = rest.indexOf(lineFeed);
      if (end < 0) {
        this.#held = rest;
        return pieces;
      }
      pieces.push({ kind: 'Line', words: rest.toString('utf8', this.#mark.length, end).split(' ') });
      rest = rest.subarray(end + 1);
    }
    const whole = rest.length - this.#possible(rest);
    if (whole > 0) pieces.push({ kind: 'Output', bytes: rest.subarray(0, whole) });
    this.#held = rest.subarray(whole);
    return pieces;
  }

  /** Bytes at the end that may begin a mark. */
  #possible(bytes: Buffer): number {
    for (let length = Math.min(this.#mark.length - 1, bytes.length); length > 0; length--)
      if (bytes.subarray(bytes.length - length).equals(this.#mark.subarray(0, length))) return length;
    return 0;
  }
}
