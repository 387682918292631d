import { readdirSync, readFileSync } from 'node:fs';

const read = (path: string): string => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
};

const pids = (): number[] =>
  readdirSync('/proc').flatMap((entry) => (/^\d+$/.test(entry) ? [Number(entry)] : []));

const parentOf = (pid: number): number =>
  Number(
    read(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, '')
      .split(' ')[1],
  );

/** Processes of this name below `root`, `root` itself not. */
export const descendants = (root: number, name: string): number[] => {
  const all = pids().map((pid) => ({ pid, parent: parentOf(pid), name: read(`/proc/${pid}/comm`).trim() }));
  const below = new Set([root]);
  for (let grown = 0; grown !== below.size;) {
    grown = below.size;
    for (const { pid, parent, name: comm } of all) if (below.has(parent) && comm === name) below.add(pid);
  }
  below.delete(root);
  return [...below];
};

/** The one process whose command line has all of these words in it. @throws when there is none. */
export const processWith = (...words: readonly string[]): number => {
  const found = pids().find((pid) => {
    const command = read(`/proc/${pid}/cmdline`);
    return pid !== process.pid && words.every((word) => command.includes(word));
  });
  if (found === undefined) throw new Error(`no process with ${words.join(' and ')} in its command line`);
  return found;
};

/** Connections that are established with a port of this machine, those that nobody has accepted yet included. */
export const connections = (port: number): number => {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  return read('/proc/net/tcp')
    .split('\n')
    .filter((line) => new RegExp(`^ *\\d+: [0-9A-F]{8}:${hex} [0-9A-F:]{13} 01 `).test(line)).length;
};
