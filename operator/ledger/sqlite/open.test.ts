import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newRun, newTask } from '../invariants/builders.ts';
import { openSqliteLedger } from './open.ts';

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'ledger-'));
  file = join(dir, 'ledger.db');
});
afterEach(() => rm(dir, { recursive: true }));

const writeMigration = (version: number): void => {
  const db = new DatabaseSync(file);
  db.prepare("INSERT INTO migrations (version, name, applied_at) VALUES (?, 'future', 0)").run(version);
  db.close();
};

describe('openSqliteLedger', () => {
  test('makes a generation with the file and keeps it', async () => {
    const first = await openSqliteLedger({ file });
    await first.close();
    const again = await openSqliteLedger({ file });
    const other = await openSqliteLedger({ file: join(dir, 'other.db') });
    expect(first.generation).toMatch(/^[0-9a-f]{32}$/);
    expect(again.generation).toBe(first.generation);
    expect(other.generation).not.toBe(first.generation);
    await again.close();
    await other.close();
  });

  test('writes durably: a write-ahead log, synchronised at each commit', async () => {
    const ledger = await openSqliteLedger({ file });
    expect(await ledger.diagnostics()).toEqual({
      journalMode: 'wal',
      synchronous: 'FULL',
      commits: 0,
      commitMs: [],
    });
    await ledger.close();
  });

  test('refuses a file that another operator has open, and says what to do', async () => {
    const ledger = await openSqliteLedger({ file });
    await expect(openSqliteLedger({ file })).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ledger ${file} is in use by another process: only one operator may open it (database is locked).`,
      action:
        'Stop the other operator first (one replica, update strategy Recreate), then start this one again.',
    });
    await ledger.close();
    const after = await openSqliteLedger({ file });
    await after.close();
  });

  test('serves a schema one version ahead, and refuses one further ahead', async () => {
    const ledger = await openSqliteLedger({ file });
    await ledger.close();
    writeMigration(3);
    const ahead = await openSqliteLedger({ file });
    await ahead.close();
    writeMigration(4);
    await expect(openSqliteLedger({ file })).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ledger ${file} has schema version 4; this operator knows version 2 and can serve one version more at most.`,
    });
  });

  test('refuses a damaged file', async () => {
    await writeFile(file, 'this is no ledger, and long enough to be read as one by SQLite: '.repeat(64));
    await expect(openSqliteLedger({ file })).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ledger ${file} is damaged (file is not a database).`,
    });
  });

  test('answers what was called before close, and refuses what is called after', async () => {
    const ledger = await openSqliteLedger({ file });
    const before = ledger.createRun({ run: newRun('run-1', 1), tasks: [] });
    const closing = ledger.close();
    await expect(ledger.readRun('run-1')).rejects.toMatchObject({
      code: 'Unavailable',
      message: `The ledger ${file} is closed.`,
    });
    expect((await before).outcome).toBe('Created');
    await closing;
  });
});

describe('group commit', () => {
  test('takes 200 concurrent commands with far fewer commits, and a failing one rolls back alone', async () => {
    const ledger = await openSqliteLedger({ file });
    await ledger.createRun({ run: newRun('run-1', 1), tasks: [newTask('task-1', 'run-1', 0)] });
    const { commits: before } = await ledger.diagnostics();
    const outcomes = await Promise.allSettled(
      Array.from({ length: 200 }, (_, index) => {
        // Writes the run before the task whose id is taken: both must go.
        const tasks = index === 100 ? [newTask('task-new', 'run-x', 1), newTask('task-1', 'run-x', 0)] : [];
        return ledger.createRun({ run: newRun(`run-of-${index}`, index), tasks });
      }),
    );
    const failed = outcomes.flatMap((outcome, index) => (outcome.status === 'rejected' ? [index] : []));
    expect(failed).toEqual([100]);
    const { commits, commitMs } = await ledger.diagnostics();
    expect(commits - before).toBeLessThanOrEqual(20);
    expect(commitMs.length).toBe(commits);
    expect(await ledger.readRun('run-of-100')).toBeUndefined();
    expect(await ledger.readTask('task-new')).toBeUndefined();
    expect((await ledger.listRuns({ limit: 1000 })).length).toBe(200);
    await ledger.close();
  });
});

describe('a process that is killed', () => {
  test('has left every answered command in the file', { timeout: 60_000 }, async () => {
    for (let round = 0; round < 3; round += 1) {
      const script = fileURLToPath(new URL('./crash-child.ts', import.meta.url));
      const path = join(dir, `crash-${round}.db`);
      const child = spawn(process.execPath, ['--conditions=development', script, path], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const answered: number[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        answered.push(Number(line));
        if (answered.length === 100 + round * 37) child.kill('SIGKILL');
      }
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
      expect(child.signalCode).toBe('SIGKILL');

      const ledger = await openSqliteLedger({ file: path });
      const kept = new Set(
        (await ledger.listAudit({ limit: 1_000_000 })).map(({ details }) => details['number']),
      );
      expect(answered.filter((number) => !kept.has(number))).toEqual([]);
      expect(answered.length).toBeGreaterThanOrEqual(100);
      await ledger.close();
    }
  });
});
