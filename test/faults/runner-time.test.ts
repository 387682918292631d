import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll } from 'vitest';
import { useStack } from '../e2e/stack.ts';
import { debianPackages } from '../servers/debian.ts';
import { waitFor } from '../servers/wait.ts';
import { cell } from './harness.ts';
import { descendants } from './processes.ts';
import {
  leaseMs,
  leftOf,
  logEqual,
  processesOf,
  resultOf,
  says,
  shortFlags,
  startLocal,
  startTagged,
} from './runner-fixture.ts';

const stack = useStack({ flags: shortFlags });
const short = { component: 'Runner', times: 'Short' } as const;

beforeAll(async () => {
  const { missing, reason } = await debianPackages(['faketime']);
  if (missing.length > 0) throw new Error(`these cells need ${missing.join(', ')}: ${reason}`);
});

const library = `/usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketime.so.1`;

/** The wall clock of a program is off by what the file says; time itself goes on evenly. */
const clockFrom = (file: string): Record<string, string> => ({
  LD_PRELOAD: library,
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_NO_CACHE: '1',
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
});

const retried = { onLost: 'Retry', retry: { limit: 1, delay: '100ms' }, script: 'exit 0\n' } as const;

for (const [what, offset] of [
  ['an hour forward', '+3600'],
  ['an hour back', '-3600'],
] as const) {
  cell(
    {
      ...short,
      moment: 'running, and more queued',
      fault: `its clock set ${what}`,
      quick: offset === '-3600',
    },
    async () => {
      const name = offset === '+3600' ? 'fast' : 'slow';
      const file = join(stack.footprint.subfolder('clocks'), name);
      writeFileSync(file, '+0');
      const runner = await startTagged(stack, name, { env: clockFrom(file) });
      // Under Retry a lease that was taken for lost would show as a second execution.
      const running = await startLocal(stack, `clock-${name}`, { tag: name, ...retried });
      await running.witness.begun();
      writeFileSync(file, offset);
      await says(runner.process, 'time jumped');
      const until = performance.now() + 2 * leaseMs;
      await waitFor('two leases to pass', () => performance.now() > until);
      const queued = await startLocal(stack, `later-${name}`, { tag: name });
      queued.witness.open();
      running.witness.open();
      const ends = [await stack.waitForEnd(running.name), await stack.waitForEnd(queued.name)];
      return {
        result: ends.map(resultOf).join('; '),
        expectedResult: 'Succeeded 0; Failed NonZeroExit 7',
        executions: running.witness.executions() + queued.witness.executions(),
        expectedExecutions: 2,
        logEqual: (await logEqual(stack, running.name)) && (await logEqual(stack, queued.name)),
        left: await leftOf(running.name, queued.name),
      };
    },
  );
}

cell(
  {
    ...short,
    moment: 'running, onLost: Retry',
    fault: 'its machine frozen until another runner has the step, then thawed',
  },
  async () => {
    const frozen = await startTagged(stack, 'pool-one', { tags: ['pool'] });
    const { name, witness } = await startLocal(stack, 'frozen', { tag: 'pool', ...retried });
    await witness.begun();
    const first = processesOf(name);
    // All of the machine stands still, what the runner started included.
    const machine = [frozen.process.pid, ...first.map(({ pid }) => pid)];
    for (const pid of machine) process.kill(pid, 'SIGSTOP');
    await startTagged(stack, 'pool-two', { tags: ['pool'] });
    await waitFor('another runner to execute it', () => witness.executions() === 2, { timeoutMs: 60_000 });
    for (const pid of machine) process.kill(pid, 'SIGCONT');
    await waitFor('the first execution to be ended', () =>
      first.every(({ pid }) => !processesOf(name).some((one) => one.pid === pid)),
    );
    witness.open();
    const run = await stack.waitForEnd(name);
    return {
      result: `${resultOf(run)}, ended ${witness.ends()}`,
      expectedResult: 'Succeeded 0, ended 1',
      executions: witness.executions(),
      expectedExecutions: 2,
      left: [...(await leftOf(name)), ...descendants(frozen.process.pid, 'sh').map(String)],
    };
  },
);
