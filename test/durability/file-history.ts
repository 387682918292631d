/** A change of one file's bytes. */
export type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'truncate'; readonly length: number };

interface Dated {
  readonly begun: number;
  readonly ended: number;
}

/** What became of the changes that no sync had reached when the power went. */
export interface Loss {
  readonly random: () => number;
  /** Share of those changes that reached the disk nevertheless. */
  readonly kept: number;
}

/** Sizes in which a disk writes: of a block that was on its way, some of these arrive and others do not. */
const sectors = [512, 4096] as const;

/** A file, whatever its name is: what it was, and each change and sync of it. */
export class FileHistory {
  readonly #start: Buffer;
  readonly #changes: (Dated & { readonly change: Change })[] = [];
  readonly #syncs: Dated[] = [];
  #longest: number;

  constructor(start: Buffer) {
    this.#start = start;
    this.#longest = start.length;
  }

  changed(change: Change, when: Dated): void {
    this.#changes.push({ change, begun: when.begun, ended: when.ended });
    const end = change.kind === 'truncate' ? change.length : change.offset + change.bytes.length;
    this.#longest = Math.max(this.#longest, end);
  }

  synced({ begun, ended }: Dated): void {
    this.#syncs.push({ begun, ended });
  }

  /** Changes before this position were on the disk when the power went at `moment`. */
  #durable(moment: number): number {
    return this.#syncs.reduce(
      (latest, { begun, ended }) => (ended <= moment ? Math.max(latest, begun) : latest),
      0,
    );
  }

  /** The bytes that a machine finds whose power went at `moment`. */
  after(moment: number, loss: Loss): Buffer {
    const durable = this.#durable(moment);
    const content = new Content(this.#start, this.#longest);
    for (const { change, begun, ended } of this.#changes) {
      if (begun > moment) continue;
      if (ended < durable) content.apply(change);
      else if (loss.random() < loss.kept)
        for (const part of loss.random() < 0.4 ? torn(change, loss.random) : [change]) content.apply(part);
    }
    return content.bytes();
  }
}

/** Bytes that are changed in place. */
class Content {
  readonly #space: Buffer;
  #length: number;

  constructor(start: Buffer, longest: number) {
    this.#space = Buffer.alloc(longest);
    this.#length = start.copy(this.#space);
  }

  apply(change: Change): void {
    const end = change.kind === 'truncate' ? change.length : change.offset + change.bytes.length;
    // What was cut off must not come back when the file grows again.
    if (change.kind === 'truncate') this.#space.fill(0, Math.min(end, this.#length), this.#length);
    else this.#space.set(change.bytes, change.offset);
    this.#length = change.kind === 'truncate' ? end : Math.max(this.#length, end);
  }

  bytes(): Buffer {
    return this.#space.subarray(0, this.#length);
  }
}

/** Some of the sectors of a write. */
const torn = (change: Change, random: () => number): readonly Change[] => {
  if (change.kind === 'truncate') return [change];
  const size = sectors[random() < 0.5 ? 0 : 1];
  const pieces: Change[] = [];
  for (let at = 0; at < change.bytes.length;) {
    const offset = change.offset + at;
    const end = Math.min(change.bytes.length, at + size - (offset % size));
    if (random() < 0.5) pieces.push({ kind: 'write', offset, bytes: change.bytes.subarray(at, end) });
    at = end;
  }
  return pieces;
};
