import { processEntry } from '@outrider/transports/process-table';
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { BOOTSTRAP } from './bootstrap.ts';
import { ATTACH } from './follow-program.ts';
import { KILL } from './kill-program.ts';
import { encodeMessage, findAnnouncement, type RemoteLeader, type RemoteTask } from './message.ts';
import { oneLine, shellCommand } from './remote-shell.ts';
import { START } from './start-program.ts';

/** Shells that are /bin/sh somewhere: Debian, RHEL and macOS, Alpine. */
const SHELLS = [
  ['dash', '/bin/dash'],
  ['bash', '/bin/bash'],
  ['busybox', '/bin/busybox'],
].filter((shell): shell is [string, string] => existsSync(shell[1] ?? ''));

const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  /** Stdout after the leader's line. */
  readonly out: string;
  readonly err: string;
}

interface Program {
  readonly stdin: ChildProcessWithoutNullStreams['stdin'];
  readonly out: () => Buffer;
  readonly ended: Promise<Ended>;
}

/** What sshd would start, with `sh` in the place of /bin/sh. */
function start(sh: string, program: string, env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(sh, ['-c', program.replaceAll('/bin/sh', sh)], {
    env: { PATH: '/usr/bin:/bin', ...env },
  });
  const [out, err]: [Buffer[], Buffer[]] = [[], []];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => {
      const all = Buffer.concat(out);
      const rest = findAnnouncement('MARK', all)?.rest ?? all;
      resolve({ code, signal, out: rest.toString(), err: Buffer.concat(err).toString() });
    });
  });
  return { stdin: child.stdin, out: () => Buffer.concat(out), ended };
}

const message = (script: string, more: Partial<RemoteTask> = {}): Buffer =>
  encodeMessage('MARK', { script, env: {}, interpreter: ['/bin/dash'], ...more });

/** Waits until the leader has said who it is. */
const announced = ({ out }: Program): Promise<RemoteLeader> =>
  vi.waitFor(
    () => {
      const said = findAnnouncement('MARK', out())?.said;
      if (said === undefined || typeof said === 'string') throw new Error(`it said ${String(said)}`);
      return said;
    },
    { timeout: 10_000, interval: 10 },
  );

describe.each(SHELLS)('where /bin/sh is %s', (name, path) => {
  const sh = join(folder, name, 'sh');
  mkdirSync(join(folder, name));
  symlinkSync(path, sh);

  const run = async (script: string, more: Partial<RemoteTask> = {}, env = {}): Promise<Ended> => {
    const program = start(sh, BOOTSTRAP, env);
    program.stdin.write(message(script, more));
    await announced(program);
    program.stdin.end('go\n');
    return program.ended;
  };

  const kill = async (leader: RemoteLeader, marker: string): Promise<string> => {
    const program = start(sh, KILL);
    program.stdin.end(
      `${leader.pid} ${leader.startTime} ${leader.bootId} ${marker} 1 remove ${leader.folder}\n`,
    );
    return (await program.ended).out;
  };

  test('exit codes and stderr pass through, and stdin is empty', async () => {
    expect(await run('cat; echo out; echo err >&2; exit 137')).toEqual({
      code: 137,
      signal: null,
      out: 'out\n',
      err: 'err\n',
    });
  });

  test.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGPIPE', 'SIGSEGV', 'SIGHUP'])(
    'a death by %s stays one',
    async (signal) => {
      const end = await run(`ulimit -c 0; kill -${signal.slice(3)} $$`);
      expect([end.code, end.signal, end.err]).toEqual([null, signal, '']);
    },
  );

  test('a long script with every byte but NUL arrives unchanged, however it is cut into pieces', async () => {
    const bytes = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index % 255) + 1));
    const head = 'sha256sum <"$0"; exit\n';
    const whole = message(head + bytes.toString('latin1'), { env: { A: 'x\n\n', B: "'\\''" } });
    const program = start(sh, BOOTSTRAP);
    for (let at = 0; at < whole.length; at += 9_973) program.stdin.write(whole.subarray(at, at + 9_973));
    await announced(program);
    program.stdin.end('go\n');
    const sha = createHash('sha256')
      .update(head + bytes.toString('latin1'))
      .digest('hex');
    expect((await program.ended).out).toBe(`${sha}  -\n`);
  });

  test('the folder is private and goes at the end, on tmpfs where there is one', async () => {
    const program = start(sh, BOOTSTRAP);
    program.stdin.write(message('ls "${0%/*}"'));
    const { folder: own } = await announced(program);
    expect(statSync(own).mode & 0o777).toBe(0o700);
    expect(statSync(join(own, 'script')).mode & 0o777).toBe(0o600);
    expect(own).toMatch(/^\/dev\/shm\/outrider\.\w{10}$/);
    program.stdin.end('go\n');
    await program.ended;
    expect(existsSync(own)).toBe(false);
  });

  test('the end of stdin in place of the go runs nothing and leaves nothing', async () => {
    const program = start(sh, BOOTSTRAP);
    program.stdin.write(message('echo ran'));
    const { folder: own } = await announced(program);
    program.stdin.end();
    expect([(await program.ended).out, existsSync(own)]).toEqual(['', false]);
  });

  test('a message that is cut short runs nothing and says so', async () => {
    const program = start(sh, BOOTSTRAP);
    program.stdin.end(message('echo ran; echo ran again').subarray(0, -5));
    const end = await program.ended;
    expect([end.code, end.out]).toEqual([125, '']);
    expect(end.err).toMatch(
      /^outrider: the script could not be received into \S+: the line was cut, or no space is left\n$/,
    );
  });

  test('an interpreter or a working folder that is not there is named before the start', async () => {
    for (const [more, said] of [
      [{ interpreter: ['/no/such'] }, 'interpreter'],
      [{ workdir: '/no/such' }, 'workdir'],
    ] as const) {
      const program = start(sh, BOOTSTRAP);
      program.stdin.write(message('echo ran', more));
      await program.ended;
      expect(findAnnouncement('MARK', program.out())?.said).toBe(said);
    }
  });

  test('the kill finds the session and what left it, is sure at the end, and spares a like-named attempt', async () => {
    const script = `setsid /bin/dash -c 'trap "" TERM; echo $$; while :; do sleep 1; done' & echo $$; wait`;
    const markers = [`t${process.pid}/1`, `t${process.pid}/11`] as const;
    const [one, other] = markers.map((marker) => {
      const program = start(sh, BOOTSTRAP);
      program.stdin.write(message(script, { env: { OUTRIDER_ATTEMPT: marker } }));
      return program;
    });
    if (one === undefined || other === undefined) throw new Error('two were started');
    const leaders = [await announced(one), await announced(other)] as const;
    for (const program of [one, other]) program.stdin.end('go\n');
    const pids = async (program: Program): Promise<number[]> =>
      vi.waitFor(() => {
        const lines = findAnnouncement('MARK', program.out())?.rest.toString().trim().split('\n') ?? [];
        if (lines.length < 2) throw new Error('not yet');
        return lines.map(Number);
      }, 10_000);
    const [mine, theirs] = [await pids(one), await pids(other)];
    expect(await kill(leaders[0], markers[0])).toBe('outrider-kill gone\n');
    expect(mine.map((pid) => processEntry(pid))).toEqual([undefined, undefined]);
    expect(theirs.map((pid) => processEntry(pid)?.pid)).toEqual(theirs);
    expect(await kill(leaders[0], markers[0])).toBe('outrider-kill absent\n');
    expect(await kill(leaders[1], markers[1])).toBe('outrider-kill gone\n');
    await Promise.all([one.ended, other.ended]);
  });

  test('the kill spares a process that was given the same pid later, and knows another boot', async () => {
    const program = start(sh, BOOTSTRAP);
    program.stdin.write(message('echo up'));
    const leader = await announced(program);
    expect(await kill({ ...leader, startTime: '1', folder: '/none' }, 'none/1')).toBe(
      'outrider-kill absent\n',
    );
    expect(await kill({ ...leader, bootId: 'other', folder: '/none' }, 'none/1')).toBe(
      'outrider-kill absent\n',
    );
    program.stdin.end('go\n');
    expect((await program.ended).out).toBe('up\n');
  });
});

describe('text for any login shell', () => {
  test('holds no line end and no single quote of its own', () => {
    for (const command of [BOOTSTRAP, KILL, START, ATTACH]) {
      expect(command).not.toMatch(/\n|!(?! )/);
      expect(command.replace(/^exec \/bin\/sh -c '[^']*' outrider( '[^']*')*$/, 'as expected')).toBe(
        'as expected',
      );
    }
  });

  test('is refused where a shell would read it differently', () => {
    expect(() => oneLine("echo 'x'")).toThrow(
      'a remote program may hold no single quote, and an exclamation mark only before a space',
    );
    expect(shellCommand('if true; then\n  echo x\nfi', 'a\nb')).toBe(
      "exec /bin/sh -c 'if true; then echo x; fi' outrider 'a; b'",
    );
  });

  test('what a login shell printed before the leader spoke is nobody’s', () => {
    const bytes = Buffer.from('Welcome!\nMARK started 7 99 boot /dev/shm/a b\nrest');
    expect(findAnnouncement('MARK', bytes)).toEqual({
      said: { pid: 7, startTime: '99', bootId: 'boot', folder: '/dev/shm/a b' },
      rest: Buffer.from('rest'),
    });
    expect(findAnnouncement('MARK', bytes.subarray(0, 20))).toBeUndefined();
  });
});
