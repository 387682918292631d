import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { must, run } from './command.ts';

test('a command gets its input and gives back output, errors and exit code', async () => {
  const result = await run('sh', ['-c', 'cat; echo bad >&2; exit 4'], { input: 'text' });
  expect(result).toEqual({ code: 4, stdout: 'text', stderr: 'bad\n' });
});

test('a command that does not end is killed, with what it started or without', async () => {
  const result = await run('sh', ['-c', 'echo begun; sleep 600 & echo "$!"; wait'], { timeoutMs: 300 });
  expect(result.code).toBe(128);
  expect(result.stdout).toMatch(/^begun\n\d+\n$/);
  expect(result.stderr).toContain('(no end after 0.3 s)');
  process.kill(Number(result.stdout.split('\n')[1]), 'SIGKILL');
});

test('the failure of a command that must succeed carries its words', async () => {
  await expect(must('sh', ['-c', 'echo no such host >&2; exit 2'])).rejects.toThrow(
    'sh -c echo no such host >&2; exit 2 failed with exit code 2: no such host',
  );
});

test('a command that is not installed is an error at once, and keeps no process waiting', () => {
  const module = join(import.meta.dirname, 'command.ts');
  const program = `import { run } from ${JSON.stringify(module)};
    await run('/no/such/program', [], { timeoutMs: 600_000 }).catch((error) => console.log(error.message));`;
  const args = ['--conditions=development', '--input-type=module-typescript', '-e', program];
  const result = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 15_000 });
  expect(result.stdout).toBe('cannot run /no/such/program: spawn /no/such/program ENOENT\n');
  expect(result.status).toBe(0);
});
