import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs vitest projects one after the other and closes with the one line that sums them up. */
const counts = { passed: 0, failed: 0 };
const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));

interface Summary {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
}

const readSummary = (file: string): Summary | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Summary;
  } catch {
    return undefined;
  }
};

for (const project of process.argv.slice(2)) {
  const file = join(folder, `${project}.json`);
  const args = [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ];
  const { status } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', ...args], {
    stdio: 'inherit',
    // Threads and processes that tests start load the sources again and again.
    env: { ...process.env, NODE_COMPILE_CACHE: join(process.cwd(), '.build', 'compile-cache') },
  });
  const summary = readSummary(file);
  counts.passed += summary?.numPassedTests ?? 0;
  const failed = summary?.numFailedTests ?? 0;
  // A file that does not load, or a run that breaks off, counts as a failure of its own.
  counts.failed += failed > 0 || status === 0 ? failed : Math.max(1, summary?.numFailedTestSuites ?? 1);
}

rmSync(folder, { recursive: true });
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
