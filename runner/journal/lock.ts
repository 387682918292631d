import { randomUUID } from 'node:crypto';
import { link, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isMissing, isTaken, journalLocked } from './failures.ts';
import { fileMode } from './files.ts';

/** A process, told apart from a later one with the same id by its start time and boot. */
interface Owner {
  readonly pid: number;
  readonly start: string;
}

/** `released` once the owner closed the journal. */
interface Claim extends Owner {
  readonly released?: boolean;
}

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
};

/** Boot and start time in clock ticks since then; empty where the system does not tell. */
const startOf = (pid: number): string => {
  const stat = readText(`/proc/${pid}/stat`);
  const boot = readText('/proc/sys/kernel/random/boot_id');
  // The second field is the program's name in parentheses, which may hold anything; the start time is the 22nd.
  const ticks = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return ticks === undefined || boot === undefined ? '' : `${boot.trim()}/${ticks}`;
};

const exists = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

const isAlive = (claim: Claim): boolean =>
  claim.released !== true && exists(claim.pid) && startOf(claim.pid) === claim.start;

const claimFile = /^lock\.(\d+)$/;

const numbersIn = async (folder: string): Promise<number[]> =>
  (await readdir(folder))
    .flatMap((name) => Number(claimFile.exec(name)?.[1] ?? 0) || [])
    .sort((a, b) => b - a);

const readClaim = async (path: string): Promise<Claim | undefined> => {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (isMissing(error)) return undefined;
    throw error;
  });
  return text === undefined ? undefined : parseClaim(text);
};

/** A claim is whole before it gets its name: one that is not was cut off with the machine's power, and its owner with it. */
const parseClaim = (text: string): Claim => {
  try {
    return JSON.parse(text) as Claim;
  } catch {
    return { pid: 0, start: '', released: true };
  }
};

/**
 * Claims the folder for this process; the returned function gives it back. A claim of a process that is gone is void.
 *
 * Claims are files `lock.<n>`, linked whole and exclusively; the highest is the one in force. It is never removed, not
 * even when given back, only outnumbered: so whoever judged `n` void can only win `n + 1`, once, and whoever comes late
 * with a lower number sees the higher one and gives up. Removing a void file instead could remove its successor.
 * Only processes of the same machine and PID namespace are seen: a folder on a shared file system is not protected.
 *
 * @throws OutriderError JournalLocked when a living process, this one included, holds it.
 */
export const lockFolder = async (folder: string): Promise<() => Promise<void>> => {
  const owner: Owner = { pid: process.pid, start: startOf(process.pid) };
  const draft = join(folder, `lock-${randomUUID()}`);
  await writeFile(draft, JSON.stringify(owner), { mode: fileMode, flag: 'wx' });
  try {
    const path = await claim(folder, draft);
    return () => release(folder, path, owner);
  } finally {
    await rm(draft, { force: true });
  }
};

const claim = async (folder: string, draft: string): Promise<string> => {
  for (;;) {
    const [highest = 0] = await numbersIn(folder);
    const current = highest === 0 ? undefined : await readClaim(join(folder, `lock.${highest}`));
    if (current !== undefined && isAlive(current)) throw journalLocked(folder, current.pid);
    const path = join(folder, `lock.${highest + 1}`);
    const won = await link(draft, path).then(
      () => true,
      (error: unknown) => {
        if (isTaken(error)) return false;
        throw error;
      },
    );
    const numbers = won ? await numbersIn(folder) : [];
    if (numbers[0] === highest + 1) {
      for (const lower of numbers.slice(1)) await rm(join(folder, `lock.${lower}`), { force: true });
      return path;
    }
    if (won) await rm(path, { force: true });
  }
};

const release = async (folder: string, path: string, owner: Owner): Promise<void> => {
  const draft = join(folder, `lock-${randomUUID()}`);
  await writeFile(draft, JSON.stringify({ ...owner, released: true } satisfies Claim), {
    mode: fileMode,
    flag: 'wx',
  });
  await rename(draft, path);
};
