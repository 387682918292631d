import { closeConnections } from '@outrider/nodes/ssh-exec/execute';
import type { TestContext } from '@outrider/nodes/test-context';
import type { NodeInput } from '@outrider/protocol';
import { processEntry } from '@outrider/transports/process-table';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { folderOf, run, sshAttempt, type SshMore } from './ssh-fixture.ts';

/** Login shells that a target's user may have; they hand the bootstrap to /bin/sh. */
const SHELLS = ['/bin/dash', '/bin/bash', '/bin/busybox', '/bin/zsh', '/bin/tcsh'].filter((shell) =>
  existsSync(shell),
);

const ssh = (input: NodeInput, more: SshMore, on: Sshd): TestContext => sshAttempt(on, input, more);

const folders: string[] = [];
afterAll(() => {
  closeConnections();
  for (const folder of folders) rmSync(folder, { recursive: true });
});

describe.each(SHELLS)('with the login shell %s', (shell) => {
  let own: Sshd;
  beforeAll(async () => {
    // busybox decides by its name what it is; a user's shell called busybox runs `-c` through its sh.
    own = await startSshd({
      user: `shell-${shell.slice(5)}`,
      shell: shell === '/bin/busybox' ? busyboxShell() : shell,
    });
  });
  afterAll(() => own.stop());

  test('a script keeps stdout and stderr apart and gives its exit code', async () => {
    const attempt = ssh({ script: 'echo out; echo err >&2; exit 3' }, {}, own);
    expect(await run(attempt)).toEqual({
      outcome: 'Failed',
      exitCode: 3,
      reason: 'NonZeroExit',
      message: 'The script ended with exit code 3.',
    });
    expect([attempt.stdout(), attempt.stderr()]).toEqual(['out\n', 'err\n']);
  });

  test.each(['KILL', 'TERM', 'INT', 'SEGV'])('a death by SIG%s is told from an exit code', async (name) => {
    const attempt = ssh({ script: `ulimit -c 0; kill -${name} $$` }, {}, own);
    expect(await run(attempt)).toMatchObject({ reason: 'KilledBySignal', signal: `SIG${name}` });
  });

  test('exit code 137 is not taken for a signal', async () => {
    expect(await run(ssh({ script: 'exit 137' }, {}, own))).toMatchObject({ exitCode: 137 });
  });

  test('a script of 64 KiB with every byte but NUL and with CRLF arrives unchanged, and env too', async () => {
    const bytes = Array.from({ length: 255 }, (_, index) => String.fromCodePoint(index + 1)).join('');
    const tail = `${bytes}\r\n`.repeat(300).slice(0, 43_000);
    const script = `sha256sum <"$0"; printf %s "$VALUE" | sha256sum; exit\n${tail}`;
    const value = `${bytes}'"$(id)\`id\`\\\n\n`.repeat(20);
    const attempt = ssh({ script, env: { VALUE: value } }, {}, own);
    expect((await run(attempt)).outcome).toBe('Succeeded');
    const sha = (text: string): string => `${createHash('sha256').update(text).digest('hex')}  -\n`;
    expect(Buffer.byteLength(script)).toBeGreaterThan(64_000);
    expect(attempt.stdout()).toBe(sha(script) + sha(value));
  });

  test('cancel ends the tree, with a child that called setsid and one that ignores TERM', async () => {
    const script = [
      'echo $$',
      'setsid sh -c \'echo $$; trap "" TERM; while :; do sleep 1; done\' &',
      "sh -c 'echo $$; while :; do sleep 1; done' &",
      'wait',
    ].join('\n');
    const attempt = ssh({ script }, {}, own);
    const result = run(attempt);
    await waitFor('three processes', () => attempt.stdout().split('\n').length === 4);
    attempt.stop('Cancelled');
    expect(await result).toEqual({
      outcome: 'Cancelled',
      reason: 'Cancelled',
      message: 'The step was cancelled, and nothing of it is left running.',
    });
    const pids = attempt.stdout().trim().split('\n');
    expect(pids.filter((pid) => processEntry(Number(pid)) !== undefined)).toEqual([]);
    await waitFor('the private folder to go', () => !existsSync(folderOf(attempt)));
  });
});

function busyboxShell(): string {
  const folder = mkdtempSync('/tmp/outrider-busybox-');
  chmodSync(folder, 0o755);
  folders.push(folder);
  symlinkSync('/bin/busybox', `${folder}/sh`);
  return `${folder}/sh`;
}
