import { closeConnections, execute, tidy } from '@outrider/nodes/ssh-exec/execute';
import type { TestContext } from '@outrider/nodes/test-context';
import type { NodeInput } from '@outrider/protocol';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { markedProcesses } from '../servers/marked.ts';
import { startSshd, type Sshd } from '../servers/sshd.ts';
import { waitFor } from '../servers/wait.ts';
import { folderOf, run, sshAttempt, takeUp, type SshMore } from './ssh-fixture.ts';
import { startTcpLine, type TcpLine } from './tcp-line.ts';

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

const line = async (): Promise<TcpLine> => {
  const own = await startTcpLine(server);
  onTestFinished(() => own.close());
  return own;
};

/** Counts its executions, waits for a gate, and ends with 7. */
const gated = (name: string, more = ''): string =>
  `echo $$ >>'${file(name)}.runs'; echo begun; until [ -e '${file(name)}.gate' ]; do sleep 0.1; done; ${more} echo ended; exit 7`;
const runs = (name: string): number => text(`${name}.runs`).split('\n').length - 1;
const open = (name: string): void => writeFileSync(file(`${name}.gate`), '');
const begun = (attempt: TestContext): Promise<unknown> =>
  waitFor('the script to begin', () => attempt.stdout().includes('begun'));

describe('a line that is cut', () => {
  test.each(['Refused', 'Silent'] as const)(
    'and comes back (%s meanwhile) costs nothing but time',
    { timeout: 120_000 },
    async (how) => {
      const own = await line();
      const name = `cut-${how}`;
      const attempt = ssh({ script: gated(name, 'seq 1 20000 >&2;') }, { target: { port: own.port } });
      const result = run(attempt);
      await begun(attempt);
      own.cut(how);
      open(name);
      await waitFor('the script to end there', () => scriptOf(attempt).length === 0);
      own.heal();
      expect(await result).toMatchObject({ outcome: 'Failed', reason: 'NonZeroExit', exitCode: 7 });
      expect(attempt.stdout()).toBe('begun\nended\n');
      expect(attempt.stderr().split('\n').length).toBe(20_001);
      expect(runs(name)).toBe(1);
      expect(attempt.notes.slice(1)).toEqual([
        `The line to 127.0.0.1:${own.port} was lost. The script goes on there; its output follows once the line is back.`,
        `The line to 127.0.0.1:${own.port} is back.`,
      ]);
      await gone(attempt);
    },
  );

  test(
    'again and again under 200 MB of output loses no byte and repeats none',
    { timeout: 180_000 },
    async () => {
      const own = await line();
      const [hash, cuts] = [createHash('sha256'), [20, 60, 61, 110, 160]];
      let taken = 0;
      const attempt = ssh(
        {
          script: `head -c 200000000 /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 2>/dev/null | tee '${file('flood')}'`,
        },
        {
          target: { port: own.port },
          onStdout: (bytes) => {
            hash.update(bytes);
            taken += bytes.length;
            if (taken > (cuts[0] ?? Infinity) * 1_000_000) {
              cuts.shift();
              own.cut('Refused');
              own.heal();
            }
          },
        },
      );
      expect((await run(attempt)).outcome).toBe('Succeeded');
      expect([taken, cuts]).toEqual([200_000_000, []]);
      expect(hash.digest('hex')).toBe(
        createHash('sha256')
          .update(readFileSync(file('flood')))
          .digest('hex'),
      );
      await gone(attempt);
    },
  );

  test('while a cancel is asked for: it works once the line is back', { timeout: 120_000 }, async () => {
    const own = await line();
    const attempt = ssh({ script: gated('cancel') }, { target: { port: own.port } });
    const result = run(attempt);
    await begun(attempt);
    own.cut('Refused');
    attempt.stop('Cancelled');
    await waitFor('the loss to be noticed', () => attempt.notes.length === 2);
    expect(scriptOf(attempt)).not.toEqual([]);
    own.heal();
    expect(await result).toEqual({
      outcome: 'Cancelled',
      reason: 'Cancelled',
      message: 'The step was cancelled, and nothing of it is left running.',
    });
    expect(scriptOf(attempt)).toEqual([]);
    await gone(attempt);
  });
});

describe('a runner that is restarted', () => {
  /** The runner takes the first bytes, and then nothing more for ever. */
  const abandonedAfter = (bytes: number, input: NodeInput): TestContext => {
    let taken = 0;
    const attempt: TestContext = ssh(input, {
      onStdout: (chunk) => {
        taken += chunk.length;
        return taken >= bytes ? never() : undefined;
      },
    });
    void run(attempt);
    return attempt;
  };

  test('goes on at the byte where its journal ends', async () => {
    const first = abandonedAfter(6, { script: gated('restart', 'echo more; echo err >&2;') });
    await begun(first);
    const later = ssh({});
    const result = takeUp(first, later, { stdout: 4, stderr: 0 });
    await waitFor('the rest of the first line', () => later.stdout() === 'n\n');
    open('restart');
    expect(await result).toMatchObject({ outcome: 'Failed', exitCode: 7 });
    expect([later.stdout(), later.stderr(), runs('restart')]).toEqual(['n\nmore\nended\n', 'err\n', 1]);
    await gone(first);
  });

  test('learns the end of what ended while it was away, with a signal as well', async () => {
    const script = gated('signal', 'ulimit -c 0; kill -KILL $$;');
    const first = abandonedAfter(6, { script });
    await begun(first);
    open('signal');
    await waitFor('the end to be written', () => existsSync(join(folderOf(first), 'exit')));
    expect(readFileSync(join(folderOf(first), 'exit'), 'utf8')).toMatch(/^137 KILL\n/);
    const later = ssh({});
    expect(await takeUp(first, later)).toMatchObject({ reason: 'KilledBySignal', signal: 'SIGKILL' });
    expect(later.stdout()).toBe('begun\n');
    await gone(first);
  });

  test('removes what an attempt left whose result it had journalled just before, and touches no other', async () => {
    const [ended, other] = [ssh({ script: 'exit 7' }), ssh({ script: gated('other') })];
    // Its result is journalled, and the process dies before it hears of that.
    expect(await execute(ended.context)).toMatchObject({ exitCode: 7 });
    const [keeper] = readFileSync(`${folderOf(ended)}/keeper`, 'utf8').split(' ');
    const result = run(other);
    await begun(other);
    await tidy({ ...ssh({}).context, attempt: ended.context.attempt }, ended.handles[0] ?? {});
    await gone(ended);
    await waitFor('its keeper to end', () => !existsSync(`/proc/${keeper}`));
    open('other');
    expect(await result).toMatchObject({ exitCode: 7 });
    expect(runs('other')).toBe(1);
  });

  test('finds gone what somebody removed, ends what still runs, and says so', async () => {
    const first = abandonedAfter(6, { script: gated('removed') });
    await begun(first);
    const spool = folderOf(first);
    rmSync(spool, { recursive: true });
    const later = ssh({});
    expect(await takeUp(first, later)).toEqual({
      outcome: 'Failed',
      reason: 'SpoolLost',
      message: `The folder ${spool}, in which 127.0.0.1 kept output and exit code of the script, is gone. What was left of the script was ended. Find what removes such folders there (a cleaner of temporary files, a logout policy), then decide about the step.`,
    });
    expect(scriptOf(first)).toEqual([]);
  });

  test('does not guess an exit code when the keeper was killed', async () => {
    const first = abandonedAfter(6, { script: gated('orphan') });
    await begun(first);
    const [keeper] = readFileSync(join(folderOf(first), 'keeper'), 'utf8').split(' ');
    process.kill(Number(keeper), 'SIGKILL');
    expect(await takeUp(first, ssh({}))).toEqual({
      outcome: 'Failed',
      reason: 'SpoolLost',
      message:
        'The process that kept watch over the script on 127.0.0.1 was killed; its exit code is not known. What was left of the script was ended. Look there for what killed processes of this user (lack of memory, a logout policy), then decide about the step.',
    });
    expect(scriptOf(first)).toEqual([]);
    await gone(first);
  });
});
