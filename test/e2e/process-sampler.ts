import { readdirSync, readFileSync } from 'node:fs';
import type { Place } from './secret-search.ts';

const read = (pid: number, file: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
};

/** Field 4 of /proc/PID/stat; the name before it may contain anything. */
const parentOf = (pid: number): number => {
  const stat = read(pid, 'stat');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
};

/** The processes and all that descend from them now. */
const withDescendants = (roots: readonly number[]): number[] => {
  const pids = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number);
  const parents = new Map(pids.map((pid) => [pid, parentOf(pid)]));
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (roots.includes(pid) || isOurs(parents.get(pid)));
  return pids.filter(isOurs);
};

/** Looks at argument lists and environments over and over, until it is stopped. */
export class ProcessSampler {
  readonly #roots: () => readonly number[];
  readonly #seen = new Map<string, Place>();
  #timer: NodeJS.Timeout;

  /** @param roots Processes that are looked at, with all that they start. */
  constructor(roots: () => readonly number[]) {
    this.#roots = roots;
    this.#timer = setInterval(() => this.#look(), 10);
  }

  #look(): void {
    for (const pid of withDescendants(this.#roots())) {
      for (const file of ['cmdline', 'environ']) {
        const content = read(pid, file);
        const where = `/proc/${pid}/${file}`;
        if (content !== '')
          this.#seen.set(`${where} ${content}`, { where, content: Buffer.from(content, 'latin1') });
      }
    }
  }

  /** Everything that was seen, each content once. */
  stop(): readonly Place[] {
    clearInterval(this.#timer);
    return [...this.#seen.values()];
  }
}
