import { closeConnections } from '@outrider/nodes/ssh-exec/execute';
import { killAfterLoss } from '@outrider/nodes/ssh-exec/remote-kill';
import type { TestContext } from '@outrider/nodes/test-context';
import type { NodeInput } from '@outrider/protocol';
import { processEntry } from '@outrider/transports/process-table';
import { SshPool } from '@outrider/transports/ssh-pool';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { folderOf, run, sshAttempt, type SshMore } from './ssh-fixture.ts';

let server: Sshd;
beforeAll(async () => {
  server = await startSshd({ user: 'deploy' });
});
afterAll(async () => {
  closeConnections();
  await server.stop();
});

const ssh = (input: NodeInput, more: SshMore = {}, on: Sshd = server): TestContext =>
  sshAttempt(on, input, more);

describe('what the target sees', () => {
  test('nothing of script or env in any argument list, in a session of its own, from a 0600 file on tmpfs', async () => {
    const attempt = ssh({
      script: ': needle-in-script\nps -eww -o args; ls -l "$0"; echo "session $(ps -o sid= -p $$) $$"; cat',
      env: { SECRET: 'needle-in-env' },
    });
    expect((await run(attempt)).outcome).toBe('Succeeded');
    const seen = attempt.stdout();
    expect(seen).toContain(`/bin/sh ${folderOf(attempt)}/script`);
    expect(seen).not.toContain('needle');
    expect(seen).toMatch(/-rw------- .* \/dev\/shm\/outrider-\w+\/script/);
    const [, session, pid] = /session +(\d+) (\d+)/.exec(seen) ?? [];
    expect(session).toBe(pid);
    expect(pid).toBe(String(attempt.handles[0]?.['pid']));
  });

  test('the private folder is gone afterwards', async () => {
    const attempt = ssh({ script: 'ls "${0%/*}"' });
    await run(attempt);
    expect(attempt.stdout()).toMatch(/script/);
    await waitFor('the private folder to go', () => !existsSync(folderOf(attempt)));
  });

  test('interpreter, workdir and the names of run, step and attempt', async () => {
    const attempt = ssh({
      script:
        'pwd; echo "$0 $OUTRIDER_RUN $OUTRIDER_STEP $OUTRIDER_ATTEMPT ${OUTRIDER_GATE-unset}"; false; echo unreached',
      interpreter: 'bash -e',
      workdir: '/usr/lib',
    });
    expect((await run(attempt)).exitCode).toBe(1);
    expect(attempt.stdout()).toBe(
      `/usr/lib\n${folderOf(attempt)}/script run-1 step-1 ${attempt.context.attempt.task}/1 unset\n`,
    );
  });

  test('nothing runs before the handle is journalled', async () => {
    const attempt = ssh(
      { script: 'echo ran' },
      { onHandle: () => Promise.reject(new Error('journal is full')) },
    );
    await expect(run(attempt)).rejects.toThrow('journal is full');
    await waitFor('the private folder to go', () => !existsSync(folderOf(attempt)));
    expect(attempt.stdout()).toBe('');
  });

  test('a stop before the start leaves nothing', async () => {
    const attempt = ssh({ script: 'echo ran' }, { onHandle: () => attempt.stop('TimedOut') });
    expect(await run(attempt)).toMatchObject({ outcome: 'TimedOut' });
    await waitFor('the private folder to go', () => !existsSync(folderOf(attempt)));
    expect(attempt.stdout()).toBe('');
  });
});

describe('output', () => {
  test('80 MB arrive complete; what is not taken fills the spool and then makes the script wait', async () => {
    const gate = Promise.withResolvers<void>();
    const hash = createHash('sha256');
    let [taken, ahead, unchanged] = [0, 0, 0];
    const attempt = ssh(
      {
        script:
          'head -c 80000000 /dev/zero | tr "\\\\000" x | fold -w 79 | tee "$0.copy" | cat; sha256sum <"$0.copy" >&2',
      },
      {
        onStdout: async (bytes) => {
          hash.update(bytes);
          taken += bytes.length;
          if (taken > 1_000_000) await gate.promise;
        },
      },
    );
    const result = run(attempt);
    const copy = (): number =>
      existsSync(`${folderOf(attempt)}/script.copy`)
        ? readFileSync(`${folderOf(attempt)}/script.copy`).length
        : 0;
    await waitFor('the remote side to stop', async () => {
      const before = ahead;
      ahead = copy();
      unchanged = ahead === before ? unchanged + 1 : 0;
      // Seven whole segments of 2 to 4 MiB, the channel's window, the server's and the pipes' buffers; far from all of it.
      return ahead - taken > 7 * 2_097_152 && unchanged >= 10;
    });
    expect(ahead - taken).toBeLessThan(42_000_000);
    gate.resolve();
    expect((await result).outcome).toBe('Succeeded');
    expect(attempt.stderr()).toBe(`${hash.digest('hex')}  -\n`);
    expect(taken).toBe(Math.floor(80_000_000 / 79) + 80_000_000);
    await waitFor('the spool to go', () => !existsSync(folderOf(attempt)));
  });

  test('a background process that holds it does not hold up the step', async () => {
    const attempt = ssh({ script: 'sleep 300 & echo started' });
    expect((await run(attempt)).outcome).toBe('Succeeded');
    expect(attempt.stdout()).toBe('started\n');
    expect(attempt.notes.at(-1)).toBe(
      'The script has ended; a background process still holds its output, which is read no further.',
    );
  });
});

test('the connection is kept for the same login, and never shared between namespaces', async () => {
  const own = await startSshd();
  try {
    const notes: string[] = [];
    for (const namespace of ['team-a', 'team-a', 'team-b']) {
      const attempt = ssh({ script: 'true' }, { namespace }, own);
      expect((await run(attempt)).outcome).toBe('Succeeded');
      notes.push(...attempt.notes.map((note) => note.replace(/.*:\d+/, '')));
    }
    expect(notes).toEqual(['', ' over a kept connection', '']);
  } finally {
    await own.stop();
  }
});

test('without a supervisor a cut line fails the step with ConnectionLost and what still ran is ended', async () => {
  const own = await startSshd();
  try {
    const attempt = ssh(
      { script: 'echo $$ $PPID; while :; do sleep 1; done' },
      { spec: { detach: false } },
      own,
    );
    const result = run(attempt);
    await waitFor('the script to start', () => attempt.stdout() !== '');
    const [pid, keeper] = attempt.stdout().trim().split(' ');
    const session = readFileSync(`/proc/${keeper}/stat`, 'utf8').split(' ')[3];
    process.kill(Number(session), 'SIGKILL');
    expect(await result).toEqual({
      outcome: 'Failed',
      reason: 'ConnectionLost',
      message: `The connection to 127.0.0.1:${own.port} was lost while the script ran. The script was still running there and was ended.`,
    });
    expect(processEntry(Number(pid))).toBeUndefined();
    const folder = String(attempt.handles[0]?.['folder']);
    await waitFor('the private folder to go', () => !existsSync(folder));
  } finally {
    await own.stop();
  }
});

test('a target that cannot be found again leaves the end of the script unconfirmed', async () => {
  const own = await startSshd();
  const options = {
    host: own.host,
    port: own.port,
    user: own.user,
    auth: { privateKey: own.clientKeyPem },
    hostKey: { host: own.host, port: own.port, pinned: own.hostKeyFingerprint },
  };
  const pool = new SshPool();
  const { connection } = await pool.exec({ namespace: 'default' }, options, 'true');
  pool.close();
  await connection.closed;
  await own.stop();
  const leader = { pid: 1, startTime: '1', bootId: 'boot', folder: '/none' };
  expect(
    await killAfterLoss({ pool, connection, options, leader, marker: 'none/1', reconnectMs: 0 }),
  ).toEqual({
    found: true,
    unreached: true,
    left: `whether anything of it is left on 127.0.0.1 could not be checked: Cannot reach 127.0.0.1:${own.port}: the connection was refused.`,
  });
});

test('twenty steps at once on one target, twice as many as sshd gives to a connection', async () => {
  const attempts = Array.from({ length: 20 }, (_, index) => ssh({ script: `echo ${index}; sleep 0.2` }));
  const results = await Promise.all(attempts.map((attempt) => run(attempt)));
  expect(results.map((result) => result.outcome)).toEqual(attempts.map(() => 'Succeeded'));
  expect(attempts.map((attempt) => attempt.stdout())).toEqual(attempts.map((_, index) => `${index}\n`));
  const left = (): string[] =>
    readdirSync('/dev/shm').filter((name) => attempts.some((each) => folderOf(each).endsWith(name)));
  await waitFor('all spools to go', () => left().length === 0);
});
