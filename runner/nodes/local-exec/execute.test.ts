import { OutriderError, type NodeInput } from '@outrider/protocol';
import { processEntry } from '@outrider/transports/process-table';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { testContext, type TestContextOptions } from '../test-context.ts';
import { execute, reap } from './execute.ts';

const local = (input: NodeInput, more: Partial<TestContextOptions> = {}) =>
  testContext({ node: 'local-exec', input, ...more });

const until = async (probe: () => boolean): Promise<void> => {
  await vi.waitFor(() => expect(probe()).toBe(true), { timeout: 15_000, interval: 20 });
};

describe('a script on the runner', () => {
  test('keeps stdout and stderr apart and succeeds with exit code 0', async () => {
    const { context, stdout, stderr } = local({ script: 'echo out\necho err >&2\n' });
    expect(await execute(context)).toEqual({ outcome: 'Succeeded', exitCode: 0 });
    expect([stdout(), stderr()]).toEqual(['out\n', 'err\n']);
  });

  test('fails with its exit code', async () => {
    const { context } = local({ script: 'exit 42' });
    expect(await execute(context)).toEqual({
      outcome: 'Failed',
      exitCode: 42,
      reason: 'NonZeroExit',
      message: 'The script ended with exit code 42.',
    });
  });

  test('that dies by a signal is reported by the name of the signal', async () => {
    const { context } = local({ script: 'kill -KILL $$' });
    expect(await execute(context)).toEqual({
      outcome: 'Failed',
      signal: 'SIGKILL',
      reason: 'KilledBySignal',
      message: 'The script was ended by SIGKILL.',
    });
  });

  test('sees its env and what it belongs to, an empty stdin, and nothing else of the runner', async () => {
    vi.stubEnv('OUTRIDER_RUNNER_TOKEN', 'hidden');
    const { context, stdout } = local({
      script:
        'cat; echo "$GREETING|$OUTRIDER_RUN|$OUTRIDER_STEP|$OUTRIDER_ATTEMPT|$OUTRIDER_RUNNER_TOKEN|$OUTRIDER_GATE"',
      env: { GREETING: "it's\n$HOME" },
    });
    await execute(context);
    expect(stdout()).toBe(`it's\n$HOME|run-1|step-1|${context.attempt.task}/1||\n`);
  });

  test('runs under its interpreter with arguments, in its workdir', async () => {
    const { context, stdout, folder } = local({ script: 'pwd; false; echo unreached', interpreter: 'sh -e' });
    const spec = { ...context.spec, input: { ...context.spec.input, workdir: folder } };
    const result = await execute({ ...context, spec });
    expect([result.exitCode, stdout()]).toEqual([1, `${folder}\n`]);
  });

  test('leaves neither script nor working folder behind', async () => {
    const { context, folder, stdout } = local({ script: 'pwd; stat -c %a "$0"' });
    await execute(context);
    expect(stdout()).toMatch(/work\/local-\w+\n600\n$/);
    expect(readdirSync(join(folder, 'secrets')).concat(readdirSync(join(folder, 'work')))).toEqual([]);
  });

  test('does not start before its handle is journalled', async () => {
    const seen: boolean[] = [];
    const test = local(
      { script: 'echo > "$WITNESS"' },
      { onHandle: () => void seen.push(existsSync(join(test.folder, 'witness'))) },
    );
    const { context } = test;
    const witness = join(test.folder, 'witness');
    const spec = { ...context.spec, input: { ...context.spec.input, env: { WITNESS: witness } } };
    await execute({ ...context, spec });
    expect([...seen, existsSync(witness)]).toEqual([false, true]);
  });

  test('does not start when its handle cannot be journalled', async () => {
    const test = local({ script: 'echo ran' }, { onHandle: () => Promise.reject(new Error('disk full')) });
    await expect(execute(test.context)).rejects.toThrow('disk full');
    expect(test.stdout()).toBe('');
  });

  test('may leave a silent background process that holds the output without holding up the step', async () => {
    const { context, stdout, notes } = local({ script: 'sleep 300 & echo $!' });
    expect((await execute(context)).outcome).toBe('Succeeded');
    expect(notes).toEqual([
      'The script has ended; a background process still holds its output, which is read no further.',
    ]);
    process.kill(Number(stdout()), 'SIGKILL');
  });
});

describe('a stop', () => {
  const stubborn = [
    "trap '' TERM",
    'echo $$',
    'setsid sh -c \'echo $$; trap "" TERM; while :; do sleep 1; done\' &',
    "sh -c 'echo $$; while :; do sleep 1; done' &",
    'while :; do sleep 1; done',
  ].join('\n');

  test('ends the whole tree, with a child that left the session and processes that ignore TERM', async () => {
    const test = local({ script: stubborn });
    const result = execute(test.context);
    await until(() => test.stdout().split('\n').length === 4);
    test.stop('Cancelled');
    expect(await result).toEqual({
      outcome: 'Cancelled',
      reason: 'Cancelled',
      message: 'The step was cancelled, and nothing of it is left running.',
    });
    const pids = test.stdout().trim().split('\n').map(Number);
    expect(pids.map((pid) => processEntry(pid))).toEqual([undefined, undefined, undefined]);
  });

  test('by the timeout says so', async () => {
    const test = local({ script: 'echo up; sleep 300' });
    const result = execute(test.context);
    await until(() => test.stdout() === 'up\n');
    test.stop('TimedOut');
    expect(await result).toEqual({
      outcome: 'TimedOut',
      reason: 'TimedOut',
      message: 'The step took longer than its timeout, and nothing of it is left running.',
    });
  });

  test('before the start runs nothing', async () => {
    const test = local({ script: 'echo ran' });
    test.stop('Cancelled');
    expect((await execute(test.context)).outcome).toBe('Cancelled');
    expect([test.stdout(), test.handles]).toEqual(['', []]);
  });
});

describe('reaping by the journalled handle', () => {
  test('ends what an earlier process of the runner left', async () => {
    const test = local({ script: 'echo $$; while :; do sleep 1; done' });
    const result = execute(test.context);
    await until(() => test.stdout() !== '');
    const [handle] = test.handles;
    expect(await reap(handle ?? {})).toBe(true);
    expect(processEntry(Number(test.stdout()))).toBeUndefined();
    expect((await result).signal).toBe('SIGTERM');
  });

  test('leaves a process alone that was given the same pid later', async () => {
    const test = local({ script: 'echo up; read -r x <"$FIFO"', env: {} });
    const fifo = join(test.folder, 'go');
    const { context } = test;
    const script = `mkfifo ${fifo}; echo up; read -r x <${fifo}; exit 7`;
    const result = execute({ ...context, spec: { ...context.spec, input: { script } } });
    await until(() => test.stdout() === 'up\n');
    expect(await reap({ ...test.handles[0], startTime: '1', marker: 'OUTRIDER_ATTEMPT=other/1' })).toBe(true);
    writeFileSync(fifo, 'go\n');
    expect((await result).exitCode).toBe(7);
  });

  test('is not sure about a handle it does not understand', async () => {
    expect(await reap({})).toBe(false);
  });
});

describe('what cannot run is refused with a reason', () => {
  const refusal = async (input: NodeInput, more: Partial<TestContextOptions> = {}): Promise<string> => {
    const error: unknown = await execute(local(input, more).context).catch((reason: unknown) => reason);
    return error instanceof OutriderError ? `${error.code}: ${error.message}` : String(error);
  };

  test('when the machine does not permit local-exec', async () => {
    expect(await refusal({ script: 'true' }, { machine: { localExec: false } })).toBe(
      "LocalExecNotAllowed: Step step-1 would run code on the runner itself, which this machine's configuration does not permit.",
    );
  });

  test('when interpreter, working folder or script are not there', async () => {
    expect(await refusal({ script: 'true', interpreter: '/no/such/sh -e' })).toBe(
      'InterpreterNotFound: The interpreter /no/such/sh does not exist on the runner, or may not be executed.',
    );
    expect(await refusal({ script: 'true', workdir: '/no/such/folder' })).toBe(
      'CommandInvalid: The working folder /no/such/folder of step step-1 does not exist on the runner.',
    );
    expect(await refusal({})).toBe('CommandInvalid: Step step-1 has no script.');
  });

  test('when env has a name that no process can be given', async () => {
    expect(await refusal({ script: 'true', env: { 'A B': '1' } })).toBe(
      'CommandInvalid: The step\'s env has the name "A B", which no process can be given.',
    );
  });
});

test('output is back-pressured: a slow reader slows the script, and gets every byte', async () => {
  const gate = Promise.withResolvers<void>();
  let first = true;
  const test = local(
    {
      script:
        'i=0; while [ $i -lt 20000 ]; do echo "line $i of a long output"; i=$((i+1)); done; echo > "$DONE"',
    },
    { onStdout: () => (first ? ((first = false), gate.promise) : undefined) },
  );
  const { context } = test;
  const done = join(test.folder, 'done');
  const result = execute({
    ...context,
    spec: { ...context.spec, input: { ...context.spec.input, env: { DONE: done } } },
  });
  await until(() => !first);
  const pid = Number(test.handles[0]?.['pid']);
  // State S with a full pipe: the script waits in write.
  await until(() => readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[2] === 'S');
  expect(existsSync(done)).toBe(false);
  gate.resolve();
  expect((await result).outcome).toBe('Succeeded');
  expect(test.stdout().split('\n').length).toBe(20_001);
});
