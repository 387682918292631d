import { readdirSync, readFileSync } from 'node:fs';
import { startTimeOf, type ProcessIdentity } from './pids.ts';

/** A process and its command line. */
export interface MarkedProcess extends ProcessIdentity {
  readonly command: string;
}

/**
 * Processes whose environment carries `variable=value`: those that were started with it, and all that they
 * started, whatever session, group or parent these have now. Linux only; elsewhere none are found.
 */
export function markedProcesses(variable: string, value: string): MarkedProcess[] {
  if (process.platform !== 'linux') return [];
  const mark = `${variable}=${value}`;
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry) => {
      const pid = Number(entry);
      const startTime = startTimeOf(pid);
      if (startTime === undefined || !read(pid, 'environ').split('\0').includes(mark)) return [];
      return [{ pid, startTime, command: read(pid, 'cmdline').replaceAll('\0', ' ').trim() }];
    });
}

/** A file of a process, or nothing if the process has ended or belongs to somebody else. */
function read(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
