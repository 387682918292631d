import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import type { WorkflowRun } from '@outrider/kinds';
import { stepOf, type WitnessedRun, type WitnessedStep } from '../e2e/faults-fixture.ts';
import type { Stack } from '../e2e/stack.ts';
import { createWitness } from '../e2e/witness.ts';
import { markedProcesses, type MarkedProcess } from '../servers/marked.ts';
import type { RemoteRunner } from '../servers/outrider.ts';
import type { ServerProcess } from '../servers/process.ts';
import { waitFor } from '../servers/wait.ts';

/** Leases of seconds and a short grace; the times of the operator itself are the defaults. */
export const leaseMs = 6000;
export const shortFlags = Object.entries({
  lease: '6s',
  'poll-time': '1500ms',
  'unknown-grace': '5s',
  'kill-grace': '8s',
  'settle-time': '4s',
  'online-time': '6s',
  'offline-time': '12s',
}).flatMap(([flag, value]) => [`--${flag}`, value]);

/** As a table would say it: phase, reason, exit code. */
export const resultOf = (run: WorkflowRun): string => {
  const { phase, reason, exitCode } = stepOf(run);
  return [phase, reason, exitCode].filter((part) => part !== undefined).join(' ');
};

/** A runner that takes the steps with its tag, its name when no other is given, on its own machine. */
export const startTagged = async (
  stack: Stack,
  name: string,
  { tags = [name], flags = [], ...options }: Partial<Parameters<Stack['startRunner']>[1]> = {},
): Promise<RemoteRunner> => {
  const runner = await stack.startRunner(name, { ...options, tags, flags: ['--local-exec', ...flags] });
  await stack.allowLocalExec(name);
  return runner;
};

/** A run of one step for the runners with this tag; it counts itself, waits at the gate and exits with 7. */
export const startLocal = async (
  stack: Stack,
  name: string,
  { tag, ...step }: Omit<WitnessedStep, 'node' | 'runner'> & { readonly tag: string },
): Promise<WitnessedRun> => {
  const witness = createWitness(stack.footprint.subfolder('witness'), name);
  const { before = '', script = 'exit 7\n', ...rest } = step;
  await stack.workflow(name, {
    steps: [
      {
        name: 'only',
        node: 'local-exec',
        runner: { tags: [tag] },
        ...rest,
        script: before + witness.script + script,
      },
    ],
  });
  return { name: await stack.startRun(name), witness };
};

export const processesOf = (run: string): MarkedProcess[] => markedProcesses('OUTRIDER_RUN', run);

/** Processes of the runs, once those have had their time to go. */
export const leftOf = async (...runs: readonly string[]): Promise<string[]> => {
  const left = (): string[] => runs.flatMap(processesOf).map(({ pid, command }) => `${pid} ${command}`);
  await waitFor('everything of the runs to be gone', () => left().length === 0, { timeoutMs: 15_000 }).catch(
    () => undefined,
  );
  return left();
};

export const logOf = ({ logFile }: ServerProcess): string => readFileSync(logFile, 'utf8');

/** Waits until a program has written `words` to its log. */
export const says = async (process: ServerProcess, words: string, timeoutMs = 30_000): Promise<void> => {
  await waitFor(`${process.name} to say "${words}"`, () => logOf(process).includes(words), { timeoutMs });
};

/** Whether the log of the run is what the script of `startLocal` writes. */
export const logEqual = async (stack: Stack, run: string): Promise<boolean> => {
  const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
  return digest(await stack.mustCli('logs', run, 'only', '--raw')) === digest('begun\nended\n');
};
