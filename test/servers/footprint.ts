import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isRunning, startTimeOf, type ProcessIdentity } from './pids.ts';
import { removeTrace, type Trace } from './traces.ts';

/** Bumped when the file's shape changes; a footprint of another version is refused, never guessed at. */
const VERSION = 1;

interface FootprintFile {
  readonly version: number;
  /** The process with which everything should have ended; absent if it shall outlive every process. */
  readonly owner?: ProcessIdentity;
  readonly traces: readonly Trace[];
  readonly facts: Readonly<Record<string, unknown>>;
}

const OWNER: ProcessIdentity = { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' };

/** True if the file is a footprint whose owner has ended without taking it back. */
function isAbandoned(path: string): boolean {
  try {
    const { uid } = statSync(path);
    const { version, owner } = JSON.parse(readFileSync(path, 'utf8')) as FootprintFile;
    return uid === process.getuid?.() && version === VERSION && owner !== undefined && !isRunning(owner);
  } catch {
    return false;
  }
}

/**
 * Everything that was started or changed on the machine, in order, kept in one file of `folder` from the
 * moment it exists. `end` takes it back in reverse order, in this process or in a later one, and touches
 * nothing that is not in the list.
 */
export class Footprint {
  readonly folder: string;
  /** True if what is started shall outlive this process. */
  readonly lasting: boolean;
  readonly #traces: Trace[];
  readonly #facts: Record<string, unknown>;

  private constructor(folder: string, lasting: boolean, file: FootprintFile) {
    this.folder = folder;
    this.lasting = lasting;
    this.#traces = [...file.traces];
    this.#facts = { ...file.facts };
  }

  /** A footprint for what ends with this process, in a temporary folder that goes with it. */
  static temporary(name: string): Footprint {
    const folder = mkdtempSync(join(tmpdir(), `outrider-${name}-`));
    const footprint = new Footprint(folder, false, { version: VERSION, traces: [], facts: {} });
    footprint.add({ kind: 'folder', path: folder });
    return footprint;
  }

  /** An empty footprint in `folder`, which is made 0700, for what shall outlive this process. */
  static lasting(folder: string): Footprint {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const footprint = new Footprint(folder, true, { version: VERSION, traces: [], facts: {} });
    footprint.add({ kind: 'folder', path: folder });
    return footprint;
  }

  /** The footprint that an earlier process left in `folder`, or undefined if there is none. */
  static load(folder: string): Footprint | undefined {
    const path = join(folder, 'footprint.json');
    if (!existsSync(path)) return undefined;
    const file = JSON.parse(readFileSync(path, 'utf8')) as FootprintFile;
    if (file.version !== VERSION) {
      throw new Error(
        `${path} has version ${file.version}, this program reads version ${VERSION}: ` +
          'end what it lists with the program that started it, then remove the folder',
      );
    }
    return new Footprint(folder, file.owner === undefined, file);
  }

  /** Ends what processes of this user left behind in temporary folders when they were killed. */
  static async sweep(): Promise<void> {
    for (const name of readdirSync(tmpdir())) {
      const folder = join(tmpdir(), name);
      const mine = name.startsWith('outrider-') && isAbandoned(join(folder, 'footprint.json'));
      if (mine) await Footprint.load(folder)?.end();
    }
  }

  get traces(): readonly Trace[] {
    return this.#traces;
  }

  /** Makes (0700) and returns a folder below this one. */
  subfolder(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  }

  add(trace: Trace): void {
    this.#traces.push(trace);
    this.#save();
  }

  /** Takes one trace back now. */
  async remove(trace: Trace): Promise<void> {
    await removeTrace(trace);
    const index = this.#traces.indexOf(trace);
    if (index >= 0) this.#traces.splice(index, 1);
    this.#save();
  }

  /** Notes what a later process must know, such as an address. The value must survive JSON. */
  note(key: string, value: unknown): void {
    this.#facts[key] = value;
    this.#save();
  }

  fact(key: string): unknown {
    return this.#facts[key];
  }

  /** Names of the listed processes that have ended on their own. */
  ended(): string[] {
    return this.#traces.flatMap((trace) =>
      trace.kind === 'process' && !isRunning(trace) ? [trace.name] : [],
    );
  }

  /** Takes everything back in reverse order. What fails is kept in the list, and named in one error at the end. */
  async end(): Promise<void> {
    const problems: string[] = [];
    for (const trace of this.#traces.toReversed()) {
      if (trace.kind === 'folder' && problems.length > 0) continue;
      try {
        await this.remove(trace);
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
      }
    }
    if (problems.length > 0) {
      throw new Error(
        `not everything was taken back; ${join(this.folder, 'footprint.json')} lists what is left:\n` +
          problems.join('\n'),
      );
    }
  }

  #save(): void {
    if (this.#traces.length === 0) {
      rmSync(join(this.folder, 'footprint.json'), { force: true });
      return;
    }
    const owner = this.lasting ? {} : { owner: OWNER };
    const file: FootprintFile = { version: VERSION, ...owner, traces: this.#traces, facts: this.#facts };
    if (!existsSync(this.folder)) return;
    const temporary = join(this.folder, '.footprint.json');
    writeFileSync(temporary, `${JSON.stringify(file, undefined, 2)}\n`, { mode: 0o600 });
    renameSync(temporary, join(this.folder, 'footprint.json'));
  }
}
