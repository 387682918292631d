import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  readonly pgrp: number;
  /** 0 where the system does not tell. */
  readonly session: number;
  /** Clock ticks since boot on Linux, a date elsewhere: with the pid it names one process for ever. */
  readonly startTime: string;
}

const linux = process.platform === 'linux';

/** Every process that has not ended; zombies have. */
export function processTable(): ProcessEntry[] {
  if (!linux) return fromPs();
  return readdirSync('/proc').flatMap((name) => {
    const pid = Number(name);
    return Number.isInteger(pid) ? (processEntry(pid) ?? []) : [];
  });
}

/** One process, or undefined if it has ended. */
export function processEntry(pid: number): ProcessEntry | undefined {
  if (!linux) return fromPs().find((each) => each.pid === pid);
  try {
    return parseStat(pid, readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return undefined;
  }
}

/** The command's name, between parentheses, may itself hold spaces, parentheses and line ends. */
export function parseStat(pid: number, stat: string): ProcessEntry | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state, ppid, pgrp, session] = fields;
  const startTime = fields[19];
  if (startTime === undefined || state === 'Z' || state === 'X') return undefined;
  return { pid, ppid: Number(ppid), pgrp: Number(pgrp), session: Number(session), startTime };
}

function fromPs(): ProcessEntry[] {
  const columns = ['pid=', 'ppid=', 'pgid=', 'stat=', 'lstart='].flatMap((each) => ['-o', each]);
  const text = execFileSync('ps', ['-A', ...columns], { encoding: 'utf8' });
  return text.split('\n').flatMap((line) => {
    const [pid, ppid, pgrp, state, ...started] = line.trim().split(/\s+/);
    if (state === undefined || state.startsWith('Z')) return [];
    return {
      pid: Number(pid),
      ppid: Number(ppid),
      pgrp: Number(pgrp),
      session: 0,
      startTime: started.join(' '),
    };
  });
}

/** True if the process was started with exactly this `NAME=value`. False where that cannot be read. */
export function hasVariable(pid: number, variable: string): boolean {
  try {
    const environment = readFileSync(`/proc/${pid}/environ`);
    const wanted = Buffer.from(`${variable}\0`);
    return environment.subarray(0, wanted.length).equals(wanted) || environment.includes(`\0${variable}\0`);
  } catch {
    return false;
  }
}

/** Differs after each boot of the machine; empty where the system does not tell. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}
