import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createNetns, type Netns } from '../servers/netns.ts';
import type { RemoteRunner } from '../servers/outrider.ts';
import { waitFor } from '../servers/wait.ts';
import { killed, startSshTarget, startWitnessed, stepOf, type SshTarget } from './faults-fixture.ts';
import { Stack } from './stack.ts';

const MB = 1_000_000;
const cutMs = 60_000;

/** Bytes that are no text and never repeat; `tee` leaves a copy on the target. */
const generator = (copy: string, parts: number, pauseS: number): string => `i=0
while [ $i -lt ${parts} ]; do
  openssl enc -aes-128-ctr -K "$(printf %032d $i)" -iv 00000000000000000000000000000000 </dev/zero 2>/dev/null | head -c ${MB}
  i=$((i + 1))
  sleep ${pauseS}
done | tee -a '${copy}'
exit 7
`;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.runIf(process.getuid?.() === 0)('a script on a target', () => {
  const stack = new Stack();
  let netns: Netns;
  let ssh: SshTarget;
  let runner: RemoteRunner;

  beforeAll(async () => {
    netns = await createNetns({ footprint: stack.footprint, name: 'outrider-ssh' });
    await stack.start({ address: netns.hostAddress });
    ssh = await startSshTarget(stack, { address: netns.hostAddress });
    const port = Number(new URL(stack.operator.runnerApiUrl).port);
    await netns.allow([{ host: netns.hostAddress, port }, ssh.sshd]);
    runner = await stack.startRunner('remote', { tags: ['remote'], exec: netns.exec });
  });
  afterAll(() => stack.stop());

  const rawLog = async (run: string): Promise<Buffer> => {
    const cli = stack.spawnCli(['logs', run, 'only', '--raw']);
    const chunks: Buffer[] = [];
    cli.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    expect(await new Promise<number | null>((resolve) => cli.once('close', resolve))).toBe(0);
    return Buffer.concat(chunks);
  };

  interface Generating {
    readonly run: string;
    readonly written: () => number;
    /** Waits for the end, and checks exit code, output and the number of executions. */
    readonly isWhole: () => Promise<void>;
  }

  const generate = async (name: string, parts: number, pauseS: number): Promise<Generating> => {
    const copy = join(stack.footprint.subfolder('witness'), `${name}.copy`);
    const { name: run, witness } = await startWitnessed(stack, name, {
      node: 'ssh-exec',
      target: ssh.target,
      runner: { tags: ['remote'] },
      script: generator(copy, parts, pauseS),
    });
    witness.open();
    return {
      run,
      written: () => (existsSync(copy) ? statSync(copy).size : 0),
      isWhole: async () => {
        const ended = await stack.waitForEnd(run, 120_000);
        expect(stepOf(ended)).toMatchObject({
          phase: 'Failed',
          reason: 'NonZeroExit',
          exitCode: 7,
          attempts: 1,
        });
        const generated = readFileSync(copy);
        expect(generated).toHaveLength(parts * MB);
        const expected = Buffer.concat([Buffer.from('begun\nended\n'), generated]);
        expect(sha256(await rawLog(run))).toBe(sha256(expected));
        expect([witness.executions(), witness.ends()]).toEqual([1, 1]);
        await waitFor('the spool and its keeper to go', () => ssh.sshd.processes().length === 0);
      },
    };
  };

  test('outlives its runner twice over, and no byte of 20 MB is lost or repeated', async () => {
    const { written, isWhole } = await generate('killed', 20, 0.5);
    for (const megabytes of [4, 12]) {
      await waitFor(`${megabytes} MB to be written`, () => written() >= megabytes * MB);
      await killed(runner.process);
      runner = await runner.restart();
    }
    await isWhole();
  });

  test('outlives a cut of 60 s, to the operator and to the target, while it goes on', async () => {
    const { written, isWhole } = await generate('cut', 45, 2);
    await waitFor('3 MB to be written', () => written() >= 3 * MB);
    await netns.cut();
    const cutAt = performance.now();
    const before = written();
    await waitFor('60 s to pass', () => performance.now() - cutAt >= cutMs, { timeoutMs: cutMs + 5000 });
    expect(written() - before).toBeGreaterThan(20 * MB);
    await netns.heal();
    await isWhole();
  });
});
