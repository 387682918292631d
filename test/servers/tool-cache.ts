import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isRunning, startTimeOf, type ProcessIdentity } from './pids.ts';
import { waitFor } from './wait.ts';

export interface CacheEntry {
  /** Printed to stderr before the work starts. */
  readonly announce: string;
  /** File that only one worker holds at a time. Default: one beside the program, for this program alone. */
  readonly lock?: string;
  /** Writes the program to the path it is given. */
  readonly fill: (temporary: string) => Promise<void>;
}

/**
 * Returns `path` once it is there. If it is not, fills it under a lock, so that of several processes one
 * does the work and the others wait for it; the program appears under its name only when it is complete.
 */
export async function fillCache(path: string, entry: CacheEntry): Promise<string> {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const lock = entry.lock ?? join(dirname(path), `.lock-${basename(path)}`);
  await waitFor(`another process to release ${lock}, to make ${basename(path)}`, () => takeLock(lock), {
    timeoutMs: 60 * 60_000,
    intervalMs: 300,
  });
  try {
    if (existsSync(path)) return path;
    const started = performance.now();
    console.error(`${entry.announce} …`);
    const temporary = join(dirname(path), `.tmp-${basename(path)}`);
    rmSync(temporary, { recursive: true, force: true });
    await entry.fill(temporary);
    chmodSync(temporary, 0o755);
    renameSync(temporary, path);
    console.error(`… done in ${Math.round((performance.now() - started) / 1000)} s: ${path}`);
    return path;
  } finally {
    rmSync(lock, { force: true });
  }
}

/** True if the lock is ours now. A lock whose holder has ended is taken away from it. */
export function takeLock(lock: string): boolean {
  const own: ProcessIdentity = { pid: process.pid, startTime: startTimeOf(process.pid) ?? '' };
  try {
    writeFileSync(lock, JSON.stringify(own), { flag: 'wx' });
    return true;
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  if (!isHeld(lock)) rmSync(lock, { force: true });
  return false;
}

function isHeld(lock: string): boolean {
  try {
    return isRunning(JSON.parse(readFileSync(lock, 'utf8')) as ProcessIdentity);
  } catch {
    // Just released, or just being written: look again.
    return existsSync(lock);
  }
}
