import { decodeFrames } from '@outrider/protocol';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ref, sha256, spec } from '../journal/fixture.ts';
import { executors, machine, openBench, type Bench } from './fixture-bench.ts';
import type { ExecutionHost } from './contract.ts';
import { createExecutionHost } from './host.ts';

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let bench: Bench;
beforeEach(async () => {
  bench = await openBench();
});
afterEach(() => bench.clear());

describe('an attempt', () => {
  test('ends with the result of its executor, times, and length and digest of the log in the journal', async () => {
    const entries: number[] = [];
    const result = await bench.run({
      node: 'echo',
      script: 'one\ntwo\n',
      onEntry: (at) => entries.push(at),
    });
    const log = await bench.logOf('echo');
    expect(result).toEqual({
      outcome: 'Succeeded',
      exitCode: 0,
      startedAt: expect.stringMatching(instant),
      finishedAt: expect.stringMatching(instant),
      log: { length: log.length, sha256: sha256(log) },
    });
    expect(await bench.textOf('echo')).toEqual([
      'system: hello echo/1\n',
      'stdout: one\ntwo\n',
      'stderr: to stderr\n',
    ]);
    expect(decodeFrames(log).frames.map((frame) => frame.seq)).toEqual([0, 1, 2]);
    const age = Date.now() - Number((decodeFrames(log).frames[0]?.ts ?? 0n) / 1000n);
    expect(age).toBeGreaterThanOrEqual(0);
    expect(age).toBeLessThan(10_000);
    expect(Math.abs((entries[0] ?? 0) - Date.parse(result.startedAt))).toBeLessThan(1000);
    await bench.journal.finished(ref('echo'), result);
  });

  test('of an unknown node type fails and names those that are known', async () => {
    const result = await bench.run({ node: 'constructor' });
    expect(result).toMatchObject({ outcome: 'Failed', reason: 'NodeUnknown' });
    expect(result.message).toMatch(
      /^This runner has no executor for the node type constructor; it knows confused, crash, deaf, echo/,
    );
  });

  test('that is executed twice runs once', async () => {
    const first = bench.run({ node: 'obedient' });
    await bench.begun('obedient');
    const second = bench.host.execute({ ...ref('obedient'), spec });
    expect(bench.host.size).toBe(1);
    bench.host.stop(ref('obedient'), 'Cancelled');
    expect(await second).toBe(await first);
    expect(bench.host.size).toBe(0);
  });

  test('journals its handle before it goes on', async () => {
    await bench.run({ node: 'handle' });
    expect(bench.journal.attempts()[0]?.handle).toEqual({ pid: 4711 });
  });

  test('shows a prompt without a line end after a short pause', async () => {
    const result = bench.run({ node: 'prompt' });
    await bench.begun('prompt');
    expect(await bench.textOf('prompt')).toEqual(['stdout: Continue? ']);
    bench.host.stop(ref('prompt'), 'Cancelled');
    expect((await result).outcome).toBe('Succeeded');
  });

  test('passes a flood on complete and in order', async () => {
    const result = await bench.run({ node: 'flood', timeoutMs: 60_000 });
    const { frames } = decodeFrames(await bench.logOf('flood'));
    const text = Buffer.concat(frames.map((frame) => frame.payload)).toString();
    const line = `${'0123456789'.repeat(9)} line\n`;
    expect(text.length).toBeGreaterThanOrEqual(20_000_000);
    expect(text.replaceAll(line, '')).toBe('');
    expect(frames.every((frame) => frame.payload.at(-1) === 0x0a)).toBe(true);
    expect(result.log.sha256).toBe(sha256(await bench.logOf('flood')));
  });
});

describe('secrets', () => {
  test('are redacted from both streams, notes and the message, however slowly they are written', async () => {
    const result = await bench.run({ node: 'leak' });
    expect(await bench.textOf('leak')).toEqual([
      'system: password is [redacted]\n',
      'stdout: out [redacted]\n',
      'stderr: err [redacted]== pw corr3',
    ]);
    expect(result).toMatchObject({ outcome: 'Failed', exitCode: 3, reason: 'StepFailed' });
    expect(result.message).toBe(`${'x'.repeat(1020)}[re…`);
  });

  test('are redacted from what an executor throws', async () => {
    expect(await bench.run({ node: 'refuse' })).toMatchObject({
      outcome: 'Failed',
      reason: 'AuthenticationFailed',
      message: 'The server refused [redacted]. Correct the credential.',
    });
    expect(await bench.textOf('refuse')).toEqual([
      'system: The server refused [redacted]. Correct the credential.\n',
    ]);
  });

  test('fail an attempt whose outputs contain one', async () => {
    expect(await bench.run({ node: 'outputs', script: 'bad' })).toMatchObject({
      outcome: 'Failed',
      reason: 'SecretInOutputs',
    });
    await bench.journal.forget(ref('outputs'));
    expect(await bench.run({ node: 'outputs' })).toMatchObject({
      outcome: 'Succeeded',
      outputs: { list: [1, { value: 'a b' }] },
    });
  });

  test('of the runner do not reach executors through environment or arguments', async () => {
    vi.stubEnv('OUTRIDER_RUNNER_TOKEN', 'token-of-the-runner');
    vi.stubEnv('HTTPS_PROXY', 'http://user:word@proxy:3128');
    vi.stubEnv('LANG', 'en_GB.UTF-8');
    const host = createExecutionHost({ journal: bench.journal, machine, executors });
    host.prepare();
    vi.unstubAllEnvs();
    await host.execute(await bench.prepare({ node: 'surroundings' }));
    await host.close();
    const [text = ''] = await bench.textOf('surroundings');
    expect(text).toContain('"LANG":"en_GB.UTF-8"');
    expect(text).not.toMatch(/token-of-the-runner|OUTRIDER|HTTPS_PROXY|VITEST/);
    expect(text).toContain(',[],["--conditions=development"]]');
  });
});

describe('the thread', () => {
  const threadOf = async (host: ExecutionHost): Promise<string> => {
    await host.execute(await bench.prepare({ node: 'thread' }));
    const [text = ''] = await bench.textOf('thread');
    await bench.journal.forget(ref('thread'));
    return text;
  };

  test('stays from one attempt to the next, and at rest it ends: the next attempt has a new one', async () => {
    const host = createExecutionHost({ journal: bench.journal, machine, executors, idleMs: 3000 });
    const first = await threadOf(host);
    expect(await threadOf(host)).toBe(first);
    await vi.waitFor(async () => expect(host.resting).toBe(true), { timeout: 20_000, interval: 20 });
    expect(await threadOf(host)).not.toBe(first);
    await host.close();
  });
});
