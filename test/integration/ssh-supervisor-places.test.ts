import { closeConnections } from '@outrider/nodes/ssh-exec/execute';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { markedProcesses } from '../servers/marked.ts';
import { startSshd, type Sshd, type SshdOptions } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { folderOf, run, sshAttempt, takeUp } from './ssh-fixture.ts';

const servers: Sshd[] = [];
const folder = mkdtempSync(join(tmpdir(), 'outrider-places-'));
chmodSync(folder, 0o755);
afterEach(async () => {
  closeConnections();
  for (const server of servers.splice(0)) await server.stop();
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A target whose sshd sees other mounts than the rest of the machine. */
const target = async (prepare: readonly string[], more: SshdOptions = {}): Promise<Sshd> => {
  const server = await startSshd({ prepare, ...more });
  servers.push(server);
  return server;
};

const memory = (where: string, options: string): string =>
  `mount -t tmpfs -o ${options},mode=1777 tmpfs ${where}`;

/** Lays a memory disk over /tmp and keeps the server's own folder, which is in there, where it is. */
const tmpOf = (options: string): string[] => [
  'mount -t tmpfs tmpfs /mnt',
  'mkdir /mnt/keep',
  'mount --bind "${0%/*}" /mnt/keep',
  memory('/tmp', options),
  'mkdir -p "${0%/*}"',
  'mount --bind /mnt/keep "${0%/*}"',
];

const placeOf = async (server: Sshd, script = 'echo "${0%/*}"'): Promise<string> => {
  const attempt = sshAttempt(server, { script });
  expect(await run(attempt)).toMatchObject({ outcome: 'Succeeded' });
  return attempt.stdout().trim();
};

test('without a memory disk the spool is on a disk', async () => {
  const server = await target([
    'while umount /dev/shm 2>/dev/null; do :; done',
    `mkdir '${folder}/shm'`,
    `mount --bind '${folder}/shm' /dev/shm`,
  ]);
  expect(await placeOf(server)).toMatch(/^\/tmp\/outrider-\w{32}$/);
});

test('a place where nothing may be executed, and a home that cannot be written, are no hindrance', async () => {
  const server = await target([memory('/dev/shm', 'noexec,nosuid,nodev'), 'mount -o remount,ro /home'], {
    user: 'deploy',
  });
  const seen = await placeOf(server, 'echo "${0%/*}"; touch ~/x 2>&1; true');
  expect(seen).toMatch(/^\/dev\/shm\/outrider-\w{32}\ntouch: .*Read-only file system$/);
});

test('a small memory disk is used by half, and a flood passes through it whole', async () => {
  const server = await target([memory('/dev/shm', 'size=8m')]);
  const hash = createHash('sha256');
  const attempt = sshAttempt(
    server,
    {
      script: `head -c 30000000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null | tee '${folder}/flood'; df -Pk "\${0%/*}" >&2; sha256sum <'${folder}/flood' >&2`,
    },
    {
      onStdout: async (bytes) => {
        hash.update(bytes);
        await new Promise((resolve) => setImmediate(resolve));
      },
    },
  );
  expect(await run(attempt)).toMatchObject({ outcome: 'Succeeded' });
  const [, line = '', digest] = attempt.stderr().split('\n');
  const [, size, used] = line.split(/\s+/);
  expect(size).toBe('8192');
  expect(Number(used)).toBeLessThan(4096 + 64);
  expect(digest).toBe(`${hash.digest('hex')}  -`);
});

test('a memory disk without room is passed over; where no place has room, nothing is started', async () => {
  expect(await placeOf(await target([memory('/dev/shm', 'size=2m')]))).toMatch(/^\/tmp\/outrider-/);
  const attempt = sshAttempt(await target([...tmpOf('size=2m'), memory('/dev/shm', 'size=2m')]), {
    script: 'echo ran',
  });
  await expect(run(attempt)).rejects.toMatchObject({
    code: 'SpoolFull',
    message: expect.stringMatching(
      /^The file system of \/tmp\/outrider-\w{32} on 127\.0\.0\.1 has \d+ KiB free; output cannot be kept there\.$/,
    ),
  });
  expect(attempt.stdout()).toBe('');
});

test('a place that runs full under the script fails the step with SpoolFull, and not silently', async () => {
  const server = await target([memory('/dev/shm', 'size=16m')]);
  const attempt = sshAttempt(server, {
    script: 'head -c 17000000 /dev/zero >/dev/shm/fill 2>/dev/null; yes | head -c 8000000; exit 0',
  });
  const result = await run(attempt);
  expect(result).toMatchObject({ outcome: 'Failed', reason: 'SpoolFull' });
  expect(result.message).toMatch(
    /^The file system of \/dev\/shm\/outrider-\w{32} on 127\.0\.0\.1 ran full while the script wrote, so that a part of its output is missing\./,
  );
});

test('without setsid and with an odd PATH a script runs, is followed and is cancelled', async () => {
  const shell = join(folder, 'odd-shell');
  writeFileSync(shell, '#!/bin/sh\nPATH=/nonexistent:/usr/bin:.\nexec /bin/sh "$@"\n', { mode: 0o755 });
  const server = await target(['mount --bind /dev/null /usr/bin/setsid'], { user: 'odd', shell });
  expect(await placeOf(server)).toMatch(/^\/dev\/shm\/outrider-/);
  const attempt = sshAttempt(server, { script: 'sleep 300 & echo begun; wait' });
  const result = run(attempt);
  await waitFor('the script to begin', () => attempt.stdout() !== '');
  attempt.stop('Cancelled');
  expect(await result).toMatchObject({
    outcome: 'Cancelled',
    message: 'The step was cancelled, and nothing of it is left running.',
  });
  expect(markedProcesses('OUTRIDER_ATTEMPT', `${attempt.context.attempt.task}/1`)).toEqual([]);
});

test(
  'without /proc, by ps alone, a script is ended and its spool taken up',
  { timeout: 120_000 },
  async () => {
    const server = await target([
      'mount -t tmpfs tmpfs /mnt',
      'mkdir /mnt/root',
      'mount --bind / /mnt/root',
      'mount --bind /proc /mnt/root/proc',
      // The real ps, in a root where /proc is still there.
      `printf '#!/bin/sh\\nexec chroot /mnt/root /usr/bin/ps "$@"\\n' >/mnt/ps`,
      'chmod 755 /mnt/ps',
      'mount --bind /mnt/ps /usr/bin/ps',
      'mount -t tmpfs tmpfs /proc',
    ]);
    const attempt = sshAttempt(server, {
      script: '[ -e /proc/self ] || echo begun; sleep 300 & wait',
    });
    void run(attempt);
    await waitFor('the script to begin', () => attempt.stdout() === 'begun\n');
    expect(attempt.handles[0]).toMatchObject({ bootId: '-' });
    const later = sshAttempt(server, {});
    const result = takeUp(attempt, later);
    await waitFor('its output', () => later.stdout() === 'begun\n');
    later.stop('TimedOut');
    expect(await result).toEqual({
      outcome: 'TimedOut',
      reason: 'TimedOut',
      message: 'The step took longer than its timeout, and nothing of it is left running.',
    });
    expect(markedProcesses('OUTRIDER_ATTEMPT', `${attempt.context.attempt.task}/1`)).toEqual([]);
    await waitFor('the spool to go', () => !existsSync(folderOf(attempt)));
  },
);

test('a target that was restarted meanwhile is known by the id of its boot', async () => {
  const before = await target([]);
  const after = await target([
    'mount -t tmpfs tmpfs /mnt',
    'echo 0f0f0f0f-0000-4000-8000-000000000000 >/mnt/boot_id',
    'mount --bind /mnt/boot_id /proc/sys/kernel/random/boot_id',
  ]);
  const attempt = sshAttempt(before, { script: 'echo begun; sleep 300' });
  const first = run(attempt);
  await waitFor('the script to begin', () => attempt.stdout() === 'begun\n');
  expect(await takeUp(attempt, sshAttempt(after, {}))).toEqual({
    outcome: 'Failed',
    reason: 'TargetRestarted',
    message:
      '127.0.0.1 was restarted while the script ran there. How far it had come is not known. Look at the target, then start the run again if that is safe.',
  });
  attempt.stop('Cancelled');
  expect(await first).toMatchObject({ outcome: 'Cancelled' });
});
