import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { repositoryRoot } from '../servers/paths.ts';
import type { CellRecord } from './harness.ts';
import { renderReliability } from './report.ts';

/**
 * `make faults`: every cell, the model further than `make test` explores it, then docs/reliability.md from what was recorded. An
 * argument, as in `node test/faults/main.ts 'Runner.*kill'`, runs only the cells whose name it matches, and writes nothing.
 */
const [filter] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'outrider-faults-'));
const recordFile = join(folder, 'cells.jsonl');
const suites = [
  ['--project', 'faults'],
  // Deeper than `make test` explores.
  ...(filter === undefined ? [['--project', 'component', 'operator/model']] : []),
];
const statuses = suites.map(
  (suite) =>
    spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', '--reporter=verbose', ...suite], {
      cwd: repositoryRoot,
      stdio: 'inherit',
      env: { ...process.env, OUTRIDER_FAULTS_RECORD: recordFile, OUTRIDER_FAULTS_ONLY: filter ?? '' },
    }).status ?? 1,
);

const lines = existsSync(recordFile) ? readFileSync(recordFile, 'utf8').trim().split('\n') : [];
const records = lines.map((line) => JSON.parse(line) as CellRecord);
rmSync(folder, { recursive: true });
if (filter === undefined) {
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${process.arch}, Node ${process.version}`;
  const file = join(repositoryRoot, 'docs', 'reliability.md');
  writeFileSync(file, renderReliability(records, { machine, date: new Date().toISOString().slice(0, 10) }));
}
const passed = records.filter((entry) => entry.passed).length;
console.log(`${passed} passed, ${records.length - passed} failed`);
process.exitCode = Math.max(...statuses);
