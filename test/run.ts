import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';

/**
 * Runs vitest projects one after the other and closes with the one line that sums them up. What failed is listed just above it,
 * so that the end of a long log says it all.
 */
const counts = { passed: 0, failed: 0 };
const failures: string[] = [];
const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));

interface Assertion {
  readonly status: string;
  readonly fullName: string;
  readonly failureMessages: readonly string[];
}

interface Summary {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: ReadonlyArray<{
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly Assertion[];
  }>;
}

const readSummary = (file: string): Summary | undefined => {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Summary;
  } catch {
    return undefined;
  }
};

const firstLine = (message: string): string => message.split('\n', 1)[0]!.slice(0, 160);

const failuresOf = (summary: Summary): string[] =>
  summary.testResults.flatMap((file) => {
    const name = relative(process.cwd(), file.name);
    const failed = file.assertionResults.filter((test) => test.status === 'failed');
    if (failed.length === 0 && file.status === 'failed') return [`${name}: ${firstLine(file.message)}`];
    return failed.map((test) => `${name}: ${test.fullName}: ${firstLine(test.failureMessages[0] ?? '')}`);
  });

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
  const began = Date.now();
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
  const named = summary === undefined ? [] : failuresOf(summary);
  if (named.length === 0 && status !== 0)
    named.push(`${project}: broke off, or an error outside any test; see above`);
  failures.push(...named);
  console.log(`${project}: ${Math.round((Date.now() - began) / 1000)} s`);
}

rmSync(folder, { recursive: true });
for (const failure of failures.slice(0, 60)) console.log(`failed: ${failure}`);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
