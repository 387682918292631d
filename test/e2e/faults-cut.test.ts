import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { markedProcesses } from '../servers/marked.ts';
import { createNetns, type Netns } from '../servers/netns.ts';
import { waitFor } from '../servers/wait.ts';
import { killed, startWitnessed, stepOf } from './faults-fixture.ts';
import { Stack } from './stack.ts';

const MB = 1_000_000;
const cutMs = 60_000;
/** 75 parts, one a second, of 280,000 bytes each. */
const parts = 75;
const partBytes = 280_000;

/** Bytes that are no text and never repeat, the same ones in every execution; `tee` leaves a copy on the target. */
const generator = (copy: string): string => `i=0
while [ $i -lt ${parts} ]; do
  openssl enc -aes-128-ctr -K "$(printf %032d $i)" -iv 00000000000000000000000000000000 </dev/zero 2>/dev/null | head -c ${partBytes}
  i=$((i + 1))
  sleep 1
done | tee -a '${copy}'
`;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

describe.runIf(process.getuid?.() === 0).concurrent('at production times', () => {
  const stack = new Stack();
  let netns: Netns;

  beforeAll(async () => {
    netns = await createNetns({ footprint: stack.footprint, name: 'outrider-cut' });
    await stack.start({ address: netns.hostAddress, flags: ['--unknown-grace', '45s'] });
    const port = Number(new URL(stack.operator.runnerApiUrl).port);
    await netns.allow([{ host: netns.hostAddress, port }]);
  });
  afterAll(() => stack.stop());

  test('a cut of 60 s between runner and operator loses no byte of 20 MB of output and repeats nothing', async () => {
    await stack.startRunner('remote', { tags: ['remote'], flags: ['--local-exec'], exec: netns.exec });
    await stack.allowLocalExec('remote');
    const copy = join(stack.footprint.subfolder('witness'), 'generated');
    const { name, witness } = await startWitnessed(stack, 'generate', {
      node: 'local-exec',
      runner: { tags: ['remote'] },
      script: generator(copy),
    });
    witness.open();
    const written = (): number => (existsSync(copy) ? statSync(copy).size : 0);
    await waitFor('the generator to write', () => written() >= MB);

    await netns.cut();
    const cutAt = performance.now();
    const before = written();
    await waitFor('60 s to pass', () => performance.now() - cutAt >= cutMs, { timeoutMs: cutMs + 5000 });
    expect(written() - before).toBeGreaterThan(10 * MB);
    const { length } = await rawLog(name);
    expect(length).toBeLessThan(before + MB);
    await netns.heal();

    const run = await stack.waitForEnd(name, 90_000);
    expect(stepOf(run)).toMatchObject({ phase: 'Succeeded', exitCode: 0, attempts: 1 });
    const generated = readFileSync(copy);
    expect(generated).toHaveLength(parts * partBytes);
    const expected = Buffer.concat([Buffer.from('begun\nended\n'), generated]);
    expect(sha256(await rawLog(name))).toBe(sha256(expected));
    expect([witness.executions(), witness.ends()]).toEqual([1, 1]);
  });

  test(
    'a runner killed and not restarted is Degraded, then Offline; its step is Unknown, then Lost, and never repeated',
    { timeout: 300_000 },
    async () => {
      const runner = await stack.startRunner('gone', { tags: ['gone', 'shared'], flags: ['--local-exec'] });
      await stack.startRunner('other', { tags: ['shared'], flags: ['--local-exec'] });
      for (const name of ['gone', 'other']) await stack.allowLocalExec(name);
      const { name, witness } = await startWitnessed(stack, 'orphaned', {
        node: 'local-exec',
        runner: { tags: ['gone'] },
      });
      await witness.begun();
      await killed(runner.process);

      await stack.waitForRunner('gone', 'Degraded', 60_000);
      const unknown = await stack.waitForRun(
        name,
        'to be Unknown',
        (run) => stepOf(run).phase === 'Unknown',
        100_000,
      );
      expect(unknown.status?.phase).toBe('Running');
      const lost = await stack.waitForEnd(name, 60_000);
      expect(lost.status?.phase).toBe('Failed');
      expect(stepOf(lost)).toMatchObject({ phase: 'Lost', reason: 'Lost', attempts: 1, runner: 'gone' });
      await stack.waitForRunner('gone', 'Offline', 60_000);
      const events = await waitFor('both Events', async () => {
        const found = await eventsOf('gone');
        return found.some(({ reason }) => reason === 'Offline') ? found : undefined;
      });
      expect(events).toContainEqual(
        expect.objectContaining({
          type: 'Warning',
          reason: 'Degraded',
          note: expect.stringMatching(
            /^HeartbeatMissing: Nothing has been heard of it since .*, for more than 45 s\.$/,
          ),
        }),
      );
      expect(events).toContainEqual(
        expect.objectContaining({
          type: 'Warning',
          reason: 'Offline',
          note: expect.stringMatching(
            /^HeartbeatMissing: Nothing has been heard of it since .*, for more than 120 s\./,
          ),
        }),
      );

      await runner.restart();
      await stack.waitForRunner('gone', 'Online');
      expect(stepOf(await stack.readRun(name)).phase).toBe('Lost');
      const left = (): unknown[] => markedProcesses('OUTRIDER_RUN', name);
      await waitFor('what it had left running to be ended', () => left().length === 0, {
        detail: () => JSON.stringify(left()),
      });
      expect([witness.executions(), witness.ends()]).toEqual([1, 0]);
    },
  );

  /** The CLI prints bytes that are no text, so they are taken as they come. */
  const rawLog = async (run: string): Promise<Buffer> => {
    const cli = stack.spawnCli(['logs', run, 'only', '--raw']);
    const chunks: Buffer[] = [];
    cli.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk));
    const code = await new Promise<number | null>((resolve) => cli.once('close', resolve));
    expect(code).toBe(0);
    return Buffer.concat(chunks);
  };

  interface Event {
    readonly type: string;
    readonly reason: string;
    readonly note: string;
    readonly regarding: { readonly kind: string; readonly name: string };
  }

  const eventsOf = async (runner: string): Promise<Event[]> => {
    const list = JSON.parse(await stack.kubectl('get', 'events.events.k8s.io', '-o', 'json')) as {
      items: Event[];
    };
    return list.items.filter(({ regarding }) => regarding.kind === 'Runner' && regarding.name === runner);
  };
});
