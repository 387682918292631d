import { readFileSync } from 'node:fs';
import { userInfo, hostname } from 'node:os';
import { afterEach, describe, expect, test } from 'vitest';
import { run } from '../servers/command.ts';
import { startSshd, type Sshd, type SshdOptions } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { ssh } from './ssh-client.ts';

const running: Sshd[] = [];
afterEach(async () => {
  for (const sshd of running.splice(0)) await sshd.stop();
});

async function start(options: SshdOptions = {}): Promise<Sshd> {
  const sshd = await startSshd(options);
  running.push(sshd);
  return sshd;
}

describe('an sshd of the current user', () => {
  test('runs commands for the holder of the key, and gives back their exit code', async () => {
    const sshd = await start();
    const result = await ssh(sshd, sshd.knownHosts, 'id -un; exit 7');
    expect(result).toMatchObject({ code: 7, stdout: `${userInfo().username}\n` });
    expect(sshd.hostKeyFingerprint).toMatch(/^SHA256:[A-Za-z0-9+/]{43}$/);
  });

  test('shows another host key after a rotation, which clients refuse', async () => {
    const sshd = await start();
    const before = sshd.knownHosts;
    await sshd.rotateHostKey();
    expect(sshd.knownHosts).not.toBe(before);
    const refused = await ssh(sshd, before, 'true');
    expect(refused.code).toBe(255);
    expect(refused.stderr).toContain('Host key verification failed');
    expect((await ssh(sshd, sshd.knownHosts, 'true')).code).toBe(0);
  });

  test.runIf(process.platform === 'linux')('finds and ends what a session left behind', async () => {
    const sshd = await start();
    await ssh(sshd, sshd.knownHosts, 'setsid sleep 611 >/dev/null 2>&1 </dev/null &');
    await waitFor(
      'the session to be gone',
      () =>
        sshd
          .processes()
          .map(({ command }) => command)
          .join() === 'sleep 611',
    );
    await sshd.stop();
    running.length = 0;
    expect(sshd.processes()).toEqual([]);
  });
});

describe.runIf(process.getuid?.() === 0)('an sshd of root', () => {
  test('has a host name and a user that exist for its sessions only', async () => {
    const sshd = await start({ hostname: 'prod-1', user: 'outrider-deploy', maxSessions: 1 });
    const result = await ssh(sshd, sshd.knownHosts, 'hostname; id -un; pwd; cat /proc/sys/kernel/hostname');
    expect(result.stdout).toBe('prod-1\noutrider-deploy\n/home/outrider-deploy\nprod-1\n');
    expect(hostname()).not.toBe('prod-1');
    expect(readFileSync('/etc/passwd', 'utf8')).not.toContain('outrider-deploy');
    expect(readFileSync('/proc/self/mounts', 'utf8')).not.toContain(' /etc/shadow ');
  });

  test('takes the password that it was given, and no other', async () => {
    const sshd = await start({ user: 'outrider-deploy', password: 'correct horse' });
    const answer = async (password: string): Promise<string> => {
      const ask = '#!/bin/sh\nprintf "%s\\n" "$TEST_PASSWORD"\n';
      const options = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null'];
      const only = ['-o', 'PreferredAuthentications=password', '-o', 'NumberOfPasswordPrompts=1'];
      const script = `f=$(mktemp) && cat >"$f" && chmod 700 "$f" && SSH_ASKPASS=$f setsid -w ssh "$@"; rm "$f"`;
      const target = ['-p', String(sshd.port), `${sshd.user}@${sshd.host}`, 'id -un'];
      const result = await run('sh', ['-c', script, 'sh', '-F', 'none', ...options, ...only, ...target], {
        input: ask,
        env: { SSH_ASKPASS_REQUIRE: 'force', DISPLAY: ':0', TEST_PASSWORD: password },
      });
      return result.stdout + result.stderr;
    };
    expect(await answer('correct horse')).toContain('outrider-deploy\n');
    expect(await answer('battery staple')).toContain('Permission denied (publickey,password)');
  });
});
