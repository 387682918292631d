import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from './wait.ts';

/** A process that cannot be confused with a later one that was given the same pid. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Start time as the system gives it: clock ticks since boot on Linux, a date elsewhere. */
  readonly startTime: string;
}

/** Fields 3 (state) and 22 (start time) of /proc/PID/stat; the name before them may contain anything. */
export function parseStat(stat: string): { state: string; startTime: string } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state] = fields;
  const startTime = fields[19];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

/** The main thread of a process that ends is a zombie before the others have let go of its files and ports. */
const hasOtherThreads = (pid: number): boolean => readdirSync(`/proc/${pid}/task`).length > 1;

/** Start time of a process, or undefined if it has ended (a zombie has, once no other thread of it is left). */
export function startTimeOf(pid: number): string | undefined {
  if (process.platform !== 'linux') {
    const ps = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
    return ps.stdout?.trim() || undefined;
  }
  try {
    const stat = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    const ended = stat?.state === 'Z' && !hasOtherThreads(pid);
    return ended ? undefined : stat?.startTime;
  } catch {
    return undefined;
  }
}

/** True while exactly this process runs. */
export function isRunning(identity: ProcessIdentity): boolean {
  return startTimeOf(identity.pid) === identity.startTime;
}

/** Sends a signal to exactly this process; does nothing if it has ended. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isRunning(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** How long a process may take to end after SIGTERM before it is killed. */
const GRACE_MS = 10_000;

/** Ends a process, with SIGTERM and a grace of 10 s or at once, and returns when it is gone. */
export async function stopProcess(
  identity: ProcessIdentity,
  signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM',
): Promise<void> {
  const gone = (): boolean => !isRunning(identity);
  if (signal === 'SIGTERM') {
    signalProcess(identity, 'SIGTERM');
    const deadline = performance.now() + GRACE_MS;
    while (!gone() && performance.now() < deadline) await sleep(20);
  }
  signalProcess(identity, 'SIGKILL');
  await waitFor(`process ${identity.pid} to end after SIGKILL`, gone);
}
