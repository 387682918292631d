import { closeConnections } from '@outrider/nodes/ssh-exec/execute';
import type { TestContext } from '@outrider/nodes/test-context';
import type { NodeInput } from '@outrider/protocol';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { markedProcesses } from '../servers/marked.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { folderOf, run, sshAttempt, type SshMore } from './ssh-fixture.ts';

let server: Sshd;
let folder: string;
beforeAll(async () => {
  server = await startSshd();
  folder = mkdtempSync(join(tmpdir(), 'outrider-supervisor-'));
});
afterAll(async () => {
  closeConnections();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const ssh = (input: NodeInput, more: SshMore = {}): TestContext => sshAttempt(server, input, more);
const file = (name: string): string => join(folder, name);
const text = (name: string): string => (existsSync(file(name)) ? readFileSync(file(name), 'utf8') : '');
const never = (): Promise<never> => new Promise(() => undefined);

/** Processes of an attempt's script, wherever they moved to. */
const scriptOf = ({ context }: TestContext): readonly unknown[] =>
  markedProcesses('OUTRIDER_ATTEMPT', `${context.attempt.task}/${context.attempt.epoch}`);

const gone = (attempt: TestContext): Promise<unknown> =>
  waitFor('the spool to go', () => !existsSync(folderOf(attempt)));

/** Counts its executions, waits for a gate, and ends with 7. */
const gated = (name: string, more = ''): string =>
  `echo $$ >>'${file(name)}.runs'; echo begun; until [ -e '${file(name)}.gate' ]; do sleep 0.1; done; ${more} echo ended; exit 7`;
const runs = (name: string): number => text(`${name}.runs`).split('\n').length - 1;
const open = (name: string): void => writeFileSync(file(`${name}.gate`), '');
const begun = (attempt: TestContext): Promise<unknown> =>
  waitFor('the script to begin', () => attempt.stdout().includes('begun'));

describe('the fence on the target', () => {
  const attemptOf = (earlier: TestContext, epoch: number, script: string): TestContext => {
    const later = ssh({ script });
    return {
      ...later,
      context: { ...later.context, attempt: { task: earlier.context.attempt.task, epoch } },
    };
  };

  test('a newer attempt ends the older one first; an older or equal one is refused', async () => {
    const first = ssh({ script: gated('fence') }, { onStdout: never });
    void run(first);
    await begun(first);
    const same = attemptOf(first, 1, 'echo never');
    await expect(run(same)).rejects.toMatchObject({
      code: 'EpochFenced',
      message: '127.0.0.1 refused attempt 1 of this step: attempt 1 of it has been started there.',
    });
    const second = attemptOf(first, 2, gated('fence-2'));
    const result = run(second);
    await begun(second);
    expect(scriptOf(first)).toEqual([]);
    expect(second.notes).toContain(
      'Attempt 1 of this step still ran on 127.0.0.1; it was ended before this one began.',
    );
    await expect(run(attemptOf(first, 1, 'echo never'))).rejects.toMatchObject({
      code: 'EpochFenced',
      message: '127.0.0.1 refused attempt 1 of this step: attempt 2 of it has been started there.',
    });
    open('fence-2');
    expect(await result).toMatchObject({ exitCode: 7 });
    expect([runs('fence'), runs('fence-2')]).toEqual([1, 1]);
    await gone(second);
  });
});

describe('scripts that are hard to hold', () => {
  test('one with 500 children is ended whole', { timeout: 120_000 }, async () => {
    const attempt = ssh({
      script: 'i=0; while [ $i -lt 500 ]; do sleep 300 & i=$((i + 1)); done; echo begun; wait',
    });
    const result = run(attempt);
    await begun(attempt);
    expect(scriptOf(attempt).length).toBeGreaterThan(500);
    attempt.stop('TimedOut');
    expect(await result).toMatchObject({ outcome: 'TimedOut' });
    expect(scriptOf(attempt)).toEqual([]);
    await gone(attempt);
  });

  test('one that daemonises ends without its daemon, which is left in peace', async () => {
    const attempt = ssh({
      script: `setsid sh -c 'while [ -d "${folder}" ] && [ ! -e "${file('daemon')}" ]; do sleep 0.1; done; echo done >"${file('daemon.ended')}"' >/dev/null 2>&1 </dev/null & echo begun`,
    });
    expect(await run(attempt)).toMatchObject({ outcome: 'Succeeded' });
    await gone(attempt);
    expect(scriptOf(attempt)).not.toEqual([]);
    writeFileSync(file('daemon'), '');
    await waitFor('the daemon to end by itself', () => text('daemon.ended') === 'done\n');
  });

  test('one that never ends is let go when nobody wants it, and leaves no process of ours', async () => {
    const attempt = ssh({ script: 'trap "" TERM; echo begun; while :; do sleep 0.1; done' });
    const result = run(attempt);
    await begun(attempt);
    attempt.stop('Abandoned');
    await result;
    await gone(attempt);
    await waitFor('all processes of the session to end', () => server.processes().length === 0, {
      detail: () => JSON.stringify(server.processes()),
    });
  });
});

test('the spool is private, trimmed as it is acknowledged, and bounded', { timeout: 120_000 }, async () => {
  let most = 0;
  const attempt = ssh(
    { script: `yes | head -c 60000000` },
    {
      onStdout: () => {
        const spool = folderOf(attempt);
        expect(statSync(spool).mode & 0o777).toBe(0o700);
        const sizes = readdirSync(spool).map(
          (name) => statSync(join(spool, name), { throwIfNoEntry: false })?.size ?? 0,
        );
        most = Math.max(
          most,
          sizes.reduce((sum, size) => sum + size, 0),
        );
      },
    },
  );
  expect((await run(attempt)).outcome).toBe('Succeeded');
  expect(most).toBeLessThan(34_000_000);
  await gone(attempt);
});

test('without detach nothing is left for a later runner to find', async () => {
  const attempt = ssh({ script: 'echo "${0%/*}"' }, { spec: { detach: false } });
  expect((await run(attempt)).outcome).toBe('Succeeded');
  expect(attempt.handles[0]).not.toHaveProperty('spool');
  expect(attempt.stdout()).toMatch(/^\/dev\/shm\/outrider\.\w+\n$/);
  expect(existsSync(attempt.stdout().trim())).toBe(false);
});
