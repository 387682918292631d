import { Automaton, type ScanCursor } from './automaton.ts';
import { encodingsOf } from './encodings.ts';
import { secretParts } from './secret-parts.ts';

/** What stands in place of a secret. Matches that overlap or touch become one. */
export const redactionMark = '[redacted]';

const mark = new TextEncoder().encode(redactionMark);
const nothing = new Uint8Array();

/** One stream on its way through redaction. */
export interface Redactor {
  /**
   * What is decided after these bytes. Bytes that may be the start of a secret are withheld until later ones decide,
   * at most one less than the longest encoding of a secret. There is no flush: passing on a withheld prefix after a
   * pause would leak a secret that is written slowly, piece by piece. May return `bytes` itself; never keeps it.
   */
  write(bytes: Uint8Array): Uint8Array;
  /** The stream is over: what was withheld is not a whole secret, and is returned. */
  end(): Uint8Array;
  /**
   * How many of the last bytes are withheld, where another redactor that begins with exactly these would go on with the
   * same output; undefined where it would not, since a secret that reaches up to here may go on.
   */
  seam(): number | undefined;
}

/** The secrets of one attempt, compiled once. */
export interface SecretSet {
  /** A state of its own for each stream: interleaved streams must not decide for each other. */
  stream(): Redactor;
  /** A text that stands alone, such as an error message. */
  redact(text: string): string;
  contains(text: string): boolean;
}

class StreamRedactor implements Redactor {
  readonly #automaton: Automaton;
  readonly #cursor: ScanCursor = { state: 0, position: 0 };
  /** Bytes from position `#passed` on that were not passed on yet: the first `#heldLength` of the buffer. */
  #held = nothing;
  #heldLength = 0;
  #passed = 0;
  /** End of the last redacted range that was passed on; a range that begins there continues it. */
  #markedTo = -1;
  /** Redacted ranges behind `#passed`: start, end, start, end, …; ascending, apart. */
  readonly #ranges: number[] = [];

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
  }

  write(bytes: Uint8Array): Uint8Array {
    if (bytes.length === 0) return nothing;
    this.#automaton.scan(bytes, this.#cursor, this.#redactRange);
    const decided = this.#cursor.position - this.#automaton.live(this.#cursor);
    if (this.#heldLength === 0 && this.#ranges.length === 0 && decided === this.#cursor.position) {
      this.#passed = decided;
      return bytes;
    }
    const source = this.#heldLength === 0 ? bytes : this.#hold(bytes);
    const start = this.#passed;
    if (decided === start && source !== bytes) return nothing;
    const output = this.#pass(source, decided);
    this.#keep(source.subarray(decided - start));
    return output;
  }

  end(): Uint8Array {
    const output = this.#pass(this.#held.subarray(0, this.#heldLength), this.#cursor.position);
    this.#keep(nothing);
    this.#cursor.state = 0;
    return output;
  }

  seam(): number | undefined {
    const apart = this.#ranges.length === 0 && this.#markedTo !== this.#passed;
    return apart ? this.#cursor.position - this.#passed : undefined;
  }

  /** Matches arrive by ascending end, so that only the last ranges can overlap a new one. */
  readonly #redactRange = (start: number, end: number): void => {
    const ranges = this.#ranges;
    let first = start;
    while (ranges.length > 0 && first <= (ranges.at(-1) ?? 0)) {
      ranges.pop();
      first = Math.min(first, ranges.pop() ?? first);
    }
    ranges.push(first, end);
  };

  /** Passes on the positions from `#passed` to `to`, the first of which is the first byte of `source`. */
  #pass(source: Uint8Array, to: number): Uint8Array {
    const base = this.#passed;
    const pieces: Uint8Array[] = [];
    let at = base;
    while (this.#ranges.length > 0 && (this.#ranges[0] ?? to) < to) {
      const [start = to, end = to] = this.#ranges.splice(0, 2);
      if (start > at) pieces.push(source.subarray(at - base, start - base));
      if (start !== this.#markedTo) pieces.push(mark);
      at = Math.min(end, to);
      this.#markedTo = at;
      if (end > to) this.#ranges.unshift(to, end);
    }
    if (to > at) pieces.push(source.subarray(at - base, to - base));
    this.#passed = to;
    return new Uint8Array(Buffer.concat(pieces));
  }

  /** Appends to the held bytes in place: a secret that arrives byte by byte must not cost its square. */
  #hold(bytes: Uint8Array): Uint8Array {
    const length = this.#heldLength + bytes.length;
    if (length > this.#held.length) {
      const grown = new Uint8Array(Math.max(length, this.#held.length * 2));
      grown.set(this.#held.subarray(0, this.#heldLength));
      this.#held = grown;
    }
    this.#held.set(bytes, this.#heldLength);
    this.#heldLength = length;
    return this.#held.subarray(0, length);
  }

  /** `rest` may lie in the held buffer itself; `set` moves overlapping bytes rightly. */
  #keep(rest: Uint8Array): void {
    if (rest.length > this.#held.length) this.#held = new Uint8Array(rest);
    else this.#held.set(rest);
    this.#heldLength = rest.length;
  }
}

const passThrough: Redactor = { write: (bytes) => bytes, end: () => nothing, seam: () => 0 };
const noSecrets: SecretSet = { stream: () => passThrough, redact: (text) => text, contains: () => false };

/**
 * Secrets of one attempt in all their encodings, in one automaton. Values under `minimumSecretLength` characters are
 * left out; see there.
 */
export const compileSecrets = (secrets: readonly string[]): SecretSet => {
  const parts = new Set(secrets.flatMap(secretParts));
  if (parts.size === 0) return noSecrets;
  const automaton = new Automaton([...parts].flatMap(encodingsOf));
  return {
    stream: () => new StreamRedactor(automaton),
    redact: (text) => {
      const redactor = new StreamRedactor(automaton);
      return Buffer.concat([redactor.write(Buffer.from(text)), redactor.end()]).toString();
    },
    contains: (text) => {
      let found = false;
      automaton.scan(Buffer.from(text), { state: 0, position: 0 }, () => {
        found = true;
      });
      return found;
    },
  };
};

/** For a single stream; streams of one attempt share the automaton through `compileSecrets`. */
export const createRedactor = (secrets: readonly string[]): Redactor => compileSecrets(secrets).stream();
