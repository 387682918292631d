import { cpSync, existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Stack } from '../e2e/stack.ts';
import { createWitness } from '../e2e/witness.ts';
import { startProcess, type ServerProcess } from '../servers/process.ts';
import { waitFor } from '../servers/wait.ts';
import { readKeyLog } from './connection.ts';
import { Disk } from './disk.ts';
import { exchangesWith, type Exchange } from './exchanges.ts';
import { readTrace, straceArguments, type SystemCall } from './system-calls.ts';

/** What one program did to its disk, and said over its connections, in one order. */
export interface ProgramTrace {
  /** Its data, and a copy of what was there when the trace began. */
  readonly root: string;
  readonly copy: string;
  readonly disk: Disk;
  readonly calls: readonly SystemCall[];
  readonly exchanges: readonly Exchange[];
}

/** The shipped operator and runner through one batch of work, every system call seen. */
export interface Recording {
  readonly operator: ProgramTrace;
  readonly runner: ProgramTrace;
  readonly steps: number;
  /** Counted by the scripts themselves. */
  readonly executions: number;
}

const [runs, stepsPerRun] = [4, 8];

/** Attaches strace to every thread of a running process; ready when it has seen a call. */
const attach = async (stack: Stack, target: ServerProcess, file: string): Promise<ServerProcess> =>
  startProcess(stack.footprint, {
    name: `strace-${target.name}`,
    command: 'strace',
    args: [...straceArguments(file), '-p', String(target.pid)],
    ready: () => statSync(file).size > 0,
  });

const diskOf = ({ root, copy, calls }: Pick<ProgramTrace, 'root' | 'copy' | 'calls'>): Disk => {
  const disk = new Disk(root, copy);
  for (const call of calls) disk.add(call);
  return disk;
};

/** The same program, had it never waited for its disk: what the checks must object to. */
export const withoutSyncs = (trace: ProgramTrace): ProgramTrace => {
  const calls = trace.calls.filter(({ name }) => name !== 'fsync' && name !== 'fdatasync');
  return { ...trace, calls, disk: diskOf({ ...trace, calls }) };
};

/** Scripts that print some kilobytes; every fourth fails. */
const scriptOf = (witness: string, step: number): string =>
  `${witness}i=0
while [ $i -lt ${step * 20} ]; do echo "line $i of step ${step} of $OUTRIDER_RUN"; i=$((i + 1)); done
exit ${step % 4 === 3 ? 3 : 0}
`;

/**
 * Traces a batch of local-exec steps from the runner's registration to the last result. The operator is attached to before
 * its runner connects, so that each connection is seen from its beginning.
 */
export const record = async (stack: Stack): Promise<Recording> => {
  const folder = stack.footprint.subfolder('traces');
  const fileOf = (name: string): string => join(folder, name);
  const [operatorFile, runnerFile, keys] = [fileOf('operator'), fileOf('runner'), fileOf('keys')];
  const witness = createWitness(stack.footprint.subfolder('witness'), 'durability');
  witness.open();
  const step = (number: number) => ({
    name: `print-${number}`,
    node: 'local-exec',
    script: scriptOf(witness.script, number),
  });
  for (let number = 0; number < stepsPerRun; number += 1)
    await stack.workflow(`durable-${number}`, { steps: [step(number)] });
  const strace = await attach(stack, stack.operator.process, operatorFile);
  const { dataDir } = stack.operator;
  const copy = join(folder, 'operator-data');
  cpSync(dataDir, copy, { recursive: true });
  const runner = await stack.startRunner('durable', {
    flags: ['--local-exec', '--capacity', '6'],
    exec: ['strace', ...straceArguments(runnerFile)],
    env: { NODE_OPTIONS: `--tls-keylog=${keys}` },
  });
  await stack.allowLocalExec('durable');
  const started: Promise<string>[] = [];
  for (let i = 0; i < runs * stepsPerRun; i += 1) started.push(stack.startRun(`durable-${i % stepsPerRun}`));
  for (const run of await Promise.all(started)) await stack.waitForEnd(run, 120_000);
  // strace ends at a signal, and hands it on to the runner.
  await runner.process.stop();
  await strace.stop();
  const port = Number(new URL(stack.operator.runnerApiUrl).port);
  const secrets = readKeyLog(readFileSync(keys, 'utf8'));
  const traceOf = (file: string, root: string, before: string): ProgramTrace => {
    const calls = [...readTrace(readFileSync(file, 'latin1'))];
    const disk = diskOf({ root, copy: before, calls });
    return { root, copy: before, disk, calls, exchanges: exchangesWith(calls, port, secrets) };
  };
  const runnerTrace = traceOf(runnerFile, runner.stateDir, stack.footprint.subfolder('nothing'));
  const pid = runnerTrace.calls[0]?.pid ?? 0;
  await waitFor('the runner to end', () => !existsSync(`/proc/${pid}`), { timeoutMs: 60_000 });
  return {
    operator: traceOf(operatorFile, dataDir, copy),
    runner: runnerTrace,
    steps: runs * stepsPerRun,
    executions: witness.executions(),
  };
};
