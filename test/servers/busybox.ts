import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { must, run } from './command.ts';
import { cacheFolder } from './paths.ts';
import { fillCache } from './tool-cache.ts';

/**
 * Path of Debian's statically linked busybox, fetched into the cache. The package is unpacked, not installed:
 * it conflicts with `busybox`, which a machine may need to start.
 */
export async function busyboxBinary(): Promise<string> {
  return fillCache(join(cacheFolder(), 'tools', 'busybox-static', 'busybox'), {
    announce: 'fetching the Debian package busybox-static (1 MB) for the images of pods',
    fill: fetchInto,
  });
}

async function fetchInto(path: string): Promise<void> {
  const folder = mkdtempSync(join(dirname(path), '.package-'));
  try {
    if (!(await download(folder))) {
      await must('apt-get', ['update', '--quiet'], { timeoutMs: 600_000 });
      await download(folder);
    }
    const archive = readdirSync(folder).find((name) => name.endsWith('.deb'));
    if (archive === undefined) throw new Error('apt-get download fetched no package busybox-static');
    const root = join(folder, 'root');
    await must('dpkg-deb', ['--extract', join(folder, archive), root]);
    // Debian moved /bin into /usr/bin with its release 13.
    const places = ['bin/busybox', 'usr/bin/busybox'].map((place) => join(root, place));
    const busybox = places.find((place) => existsSync(place));
    if (busybox === undefined) throw new Error(`${archive} has no busybox in /bin or /usr/bin`);
    renameSync(busybox, path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function download(folder: string): Promise<boolean> {
  const result = await run('apt-get', ['download', '--quiet', 'busybox-static'], { cwd: folder });
  return result.code === 0;
}
