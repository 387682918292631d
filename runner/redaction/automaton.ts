/** Where a scan stands; one per stream. `position` counts all bytes scanned so far. */
export interface ScanCursor {
  state: number;
  position: number;
}

const root = 0;

/** 2³² divided by the golden ratio: spreads neighbouring words over the upper 16 bits of their product. */
const hashFactor = 0x9e3779b1;

/** Four bytes from `at`; those outside count as 0. */
const wordAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) << 24) |
  ((bytes[at + 1] ?? 0) << 16) |
  ((bytes[at + 2] ?? 0) << 8) |
  (bytes[at + 3] ?? 0);

/**
 * Aho-Corasick over bytes: finds every occurrence of every pattern in one pass, for any number of patterns, and knows
 * after each byte how many of the last ones may still become a match.
 *
 * Nodes are rows of typed arrays, children a linked list (all but the first levels have one child), the root a table.
 * A key of 3 KB in all its encodings has some 150,000 nodes: 3 MB here, 150 MB as a table of 256 columns.
 */
export class Automaton {
  readonly #children = new Int32Array(256);
  readonly #firstChild: Int32Array;
  readonly #nextSibling: Int32Array;
  readonly #byte: Uint8Array;
  readonly #failure: Int32Array;
  /** Bytes from the root: the length of the longest suffix of the input that is a prefix of a pattern. */
  readonly #depth: Int32Array;
  /** Length of the longest pattern that ends here; 0: none does. */
  readonly #match: Int32Array;
  /** One bit for each hash of four bytes with which a pattern begins: elsewhere the scan skips without a step. */
  readonly #beginnings = new Uint32Array(2048);
  #size = 1;

  /** Every pattern has at least 4 bytes. */
  constructor(patterns: readonly Uint8Array[]) {
    const capacity = 1 + patterns.reduce((sum, pattern) => sum + pattern.length, 0);
    this.#firstChild = new Int32Array(capacity);
    this.#nextSibling = new Int32Array(capacity);
    this.#byte = new Uint8Array(capacity);
    this.#failure = new Int32Array(capacity);
    this.#depth = new Int32Array(capacity);
    this.#match = new Int32Array(capacity);
    for (const pattern of patterns) this.#insert(pattern);
    this.#link();
  }

  /** The last `live(cursor)` bytes may be the start of a match; all before them are decided. */
  live(cursor: ScanCursor): number {
    return this.#depth[cursor.state] ?? 0;
  }

  /**
   * Scans `bytes` from where the cursor stands and moves it. `onMatch` gets, in ascending order of `end`, the longest
   * match for each position at which one ends, in positions of the whole stream.
   */
  scan(bytes: Uint8Array, cursor: ScanCursor, onMatch: (start: number, end: number) => void): void {
    const base = cursor.position;
    let state = cursor.state;
    for (let at = 0; at < bytes.length; at += 1) {
      if (state === root) at = this.#skip(bytes, at);
      state = this.#step(state, bytes[at] ?? 0);
      const length = this.#match[state] ?? 0;
      if (length > 0) onMatch(base + at + 1 - length, base + at + 1);
    }
    cursor.state = state;
    cursor.position = base + bytes.length;
  }

  /** The next position from `at` that may begin a pattern, or the first whose four bytes are not complete yet. */
  #skip(bytes: Uint8Array, at: number): number {
    const end = bytes.length - 3;
    if (at >= end) return at;
    const beginnings = this.#beginnings;
    let word = wordAt(bytes, at - 1);
    for (let next = at; next < end; next += 1) {
      word = (word << 8) | (bytes[next + 3] ?? 0);
      const hash = Math.imul(word, hashFactor) >>> 16;
      if (((beginnings[hash >>> 5] ?? 0) >>> (hash & 31)) & 1) return next;
    }
    return end;
  }

  #step(from: number, byte: number): number {
    for (let state = from; state !== root; state = this.#failure[state] ?? root) {
      const child = this.#child(state, byte);
      if (child !== 0) return child;
    }
    return this.#children[byte] ?? root;
  }

  #child(state: number, byte: number): number {
    if (state === root) return this.#children[byte] ?? 0;
    let child = this.#firstChild[state] ?? 0;
    while (child !== 0 && this.#byte[child] !== byte) child = this.#nextSibling[child] ?? 0;
    return child;
  }

  #insert(pattern: Uint8Array): void {
    let state = root;
    for (const byte of pattern) state = this.#child(state, byte) || this.#add(state, byte);
    this.#match[state] = pattern.length;
    const hash = Math.imul(wordAt(pattern, 0), hashFactor) >>> 16;
    this.#beginnings[hash >>> 5] = (this.#beginnings[hash >>> 5] ?? 0) | (1 << (hash & 31));
  }

  #add(parent: number, byte: number): number {
    const node = this.#size;
    this.#size += 1;
    this.#byte[node] = byte;
    this.#depth[node] = (this.#depth[parent] ?? 0) + 1;
    if (parent === root) this.#children[byte] = node;
    else {
      this.#nextSibling[node] = this.#firstChild[parent] ?? 0;
      this.#firstChild[parent] = node;
    }
    return node;
  }

  /** Breadth first, so that a node's failure target, which is nearer to the root, is complete before it. */
  #link(): void {
    const queue = new Int32Array(this.#size);
    const first = this.#children.filter((child) => child !== 0);
    queue.set(first);
    let tail = first.length;
    for (let head = 0; head < tail; head += 1) {
      const node = queue[head] ?? root;
      for (let child = this.#firstChild[node] ?? 0; child !== 0; child = this.#nextSibling[child] ?? 0) {
        this.#fail(child, this.#step(this.#failure[node] ?? root, this.#byte[child] ?? 0));
        queue[tail++] = child;
      }
    }
  }

  #fail(node: number, target: number): void {
    this.#failure[node] = target;
    if (this.#match[node] === 0) this.#match[node] = this.#match[target] ?? 0;
  }
}
