import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { FileHistory, type Loss } from './file-history.ts';
import { carried, descriptor, lastNumber, strings, type SystemCall } from './system-calls.ts';

/** A name that was given or taken away; undefined is no file. Renaming is both, in one. */
interface Naming {
  readonly begun: number;
  readonly ended: number;
  readonly names: readonly (readonly [path: string, file: FileHistory | undefined])[];
}

/** Maps memory and is made anew at each start. */
const isMapped = (path: string): boolean => path.endsWith('-shm');

/** Everything below one folder, from a copy of it and the calls that changed it since. */
export class Disk {
  readonly #root: string;
  readonly #start = new Map<string, FileHistory>();
  /** As the traced program saw it. */
  readonly #now: Map<string, FileHistory>;
  readonly #namings: Naming[] = [];
  readonly #folderSyncs: { readonly folder: string; readonly begun: number; readonly ended: number }[] = [];
  /** Where `write` goes on, by descriptor. */
  readonly #offsets = new Map<number, number>();
  /** Positions at which bytes changed. */
  readonly writes: number[] = [];

  /** @param copy Folder with what was below `root` when the trace began. */
  constructor(root: string, copy: string) {
    this.#root = root;
    for (const entry of readdirSync(copy, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const path = join(entry.parentPath, entry.name);
      this.#start.set(join(root, relative(copy, path)), new FileHistory(readFileSync(path)));
    }
    this.#now = new Map(this.#start);
  }

  add(call: SystemCall): void {
    if (call.name === 'openat') this.#open(call);
    else if (call.name.startsWith('rename') || call.name.startsWith('link')) this.#rename(call);
    else if (call.name.startsWith('unlink')) this.#remove(call);
    else this.#change(call);
  }

  /** Writes what is found after a power cut at `moment` into an empty folder. */
  materialise(moment: number, loss: Loss, folder: string): void {
    const names = new Map(this.#start);
    // Names become durable in their order: of those that no sync reached, the first ones may have.
    const cut = loss.random() < loss.kept ? loss.random() * moment : 0;
    for (const naming of this.#namings)
      if (naming.begun <= moment && (naming.ended <= cut || this.#isDurable(naming, moment)))
        for (const [path, file] of naming.names) set(names, path, file);
    mkdirSync(folder, { recursive: true });
    for (const [path, file] of names) {
      const target = join(folder, relative(this.#root, path));
      mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
      if (!isMapped(path)) writeFileSync(target, file.after(moment, loss), { mode: 0o600 });
    }
  }

  #isDurable(naming: Naming, moment: number): boolean {
    return this.#folderSyncs.some(
      ({ folder, begun, ended }) =>
        ended <= moment && begun > naming.ended && naming.names.some(([path]) => dirname(path) === folder),
    );
  }

  #isHere(path: string): boolean {
    return path.startsWith(`${this.#root}/`);
  }

  #open(call: SystemCall): void {
    const path = String(strings(call)[0] ?? '');
    this.#offsets.set(call.result, 0);
    if (!this.#isHere(path)) return;
    const known = this.#now.get(path);
    if (known === undefined && call.args.includes('O_CREAT')) {
      const file = new FileHistory(Buffer.alloc(0));
      this.#name(call, [[path, file]]);
    } else if (known !== undefined && call.args.includes('O_TRUNC')) {
      known.changed({ kind: 'truncate', length: 0 }, call);
    }
  }

  /** A link is a renaming that leaves the old name. */
  #rename(call: SystemCall): void {
    const [from = '', to = ''] = strings(call).map(String);
    if (!this.#isHere(from) && !this.#isHere(to)) return;
    const file = this.#now.get(from);
    if (file === undefined) throw new Error(`${from} was renamed, and the trace did not know it`);
    this.#name(call, [...(call.name.startsWith('link') ? [] : [[from, undefined] as const]), [to, file]]);
  }

  #remove(call: SystemCall): void {
    const path = String(strings(call)[0] ?? '');
    if (this.#now.has(path)) this.#name(call, [[path, undefined]]);
  }

  #name({ begun, ended }: SystemCall, names: Naming['names']): void {
    this.#namings.push({ begun, ended, names });
    for (const [path, file] of names) set(this.#now, path, file);
  }

  #change(call: SystemCall): void {
    const opened = descriptor(call.args);
    if (opened === undefined) return;
    if (call.name === 'fsync' && (opened.name === this.#root || this.#isHere(opened.name)))
      this.#folderSyncs.push({ folder: opened.name, begun: call.begun, ended: call.ended });
    const file = this.#now.get(opened.name);
    if (file === undefined) return;
    if (call.name === 'fsync' || call.name === 'fdatasync') file.synced(call);
    else if (call.name === 'ftruncate') file.changed({ kind: 'truncate', length: lastNumber(call) }, call);
    else if (call.name.includes('write')) this.#write(call, opened.fd, file);
  }

  #write(call: SystemCall, fd: number, file: FileHistory): void {
    const placed = call.name.startsWith('pwrite');
    const offset = placed ? lastNumber(call) : (this.#offsets.get(fd) ?? 0);
    if (!placed) this.#offsets.set(fd, offset + call.result);
    file.changed({ kind: 'write', offset, bytes: carried(call) }, call);
    this.writes.push(call.ended);
  }
}

const set = (names: Map<string, FileHistory>, path: string, file: FileHistory | undefined): void => {
  if (file === undefined) names.delete(path);
  else names.set(path, file);
};
