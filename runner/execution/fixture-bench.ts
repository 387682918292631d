import { vi } from 'vitest';
import { decodeFrames, OutriderError, type TaskResult, type TaskSpec } from '@outrider/protocol';
import type { RunnerMachine } from '@outrider/nodes/contract';
import type { Journal } from '../journal/contract.ts';
import { openDesk, ref, spec } from '../journal/fixture.ts';
import type { ExecutionHost, ExecutionRequest } from './contract.ts';
import { createExecutionHost } from './host.ts';

export const machine: RunnerMachine = {
  kubeContexts: [],
  kubectl: 'kubectl',
  localExec: false,
  secretsDir: '/nonexistent',
  workDir: '/nonexistent',
};

export const executors = new URL('fixture-executors.ts', import.meta.url);

export const password = 'corr3ct-horse';

export interface Job {
  readonly node: string;
  readonly script?: string;
  readonly timeoutMs?: number;
  readonly onEntry?: (at: number) => void;
}

/** A journal and a host over the fixture executors, with short graces. */
export interface Bench {
  readonly journal: Journal;
  readonly host: ExecutionHost;
  /** Prepares an attempt and executes it. */
  run(job: Job): Promise<TaskResult>;
  /** Journals an attempt as the agent does; what is to be executed. Its task is named like its node type. */
  prepare(job: Job): Promise<ExecutionRequest>;
  /** Resolves when the attempt has written something. */
  begun(node: string): Promise<void>;
  logOf(node: string): Promise<Uint8Array>;
  /** The log as `stream: text`, one entry for each run of frames of a stream. */
  textOf(node: string): Promise<string[]>;
  /** Lets so many seals fail for lack of room. */
  failSeals(count: number): void;
  failedSeals(): number;
  clear(): Promise<void>;
}

const noRoom = (): OutriderError =>
  new OutriderError({ code: 'JournalFull', message: 'No room.', action: 'Make room.' });

const joined = (log: Uint8Array): string[] => {
  const entries: [string, string][] = [];
  for (const { stream, payload } of decodeFrames(log).frames) {
    const last = entries.at(-1);
    const text = Buffer.from(payload).toString();
    if (last?.[0] === stream) last[1] += text;
    else entries.push([stream, text]);
  }
  return entries.map(([stream, text]) => `${stream}: ${text}`);
};

export const openBench = async (): Promise<Bench> => {
  const desk = await openDesk();
  const journal = await desk.open();
  let [failing, failed] = [0, 0];
  const seal = journal.sealLog.bind(journal);
  journal.sealLog = (attempt) => {
    if (failing === failed) return seal(attempt);
    failed += 1;
    return Promise.reject(noRoom());
  };
  const host = createExecutionHost({ journal, machine, executors, graceMs: 1000, hangMs: 2000 });
  const logOf = (node: string): Promise<Uint8Array> => journal.readLog(ref(node), 0, 50_000_000);
  const prepare = async ({ node, script, timeoutMs }: Job): Promise<ExecutionRequest> => {
    const input = script === undefined ? {} : { script };
    const task: TaskSpec = { ...spec, node, input, timeoutMs: timeoutMs ?? 10_000 };
    await journal.accepted(ref(node), { generation: 'g1', spec: task });
    await journal.started(ref(node), new Date().toISOString());
    return { ...ref(node), spec: task, credential: { username: 'line', password } };
  };
  return {
    journal,
    host,
    prepare,
    run: async (job) => host.execute(await prepare(job), job.onEntry),
    begun: (node) =>
      vi.waitFor(
        () => {
          if (journal.logLength(ref(node)) === 0) throw new Error(`${node} has written nothing`);
        },
        { timeout: 20_000, interval: 5 },
      ),
    logOf,
    textOf: async (node) => joined(await logOf(node)),
    failSeals: (count) => {
      failing = failed + count;
    },
    failedSeals: () => failed,
    clear: async () => {
      await host.close();
      await desk.clear();
    },
  };
};
