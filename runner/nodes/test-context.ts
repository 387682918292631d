import type { Connection, NodeInput, TaskSpec } from '@outrider/protocol';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { RunnerMachine, StopReason, TaskContext } from './contract.ts';

export interface TestContextOptions {
  readonly node: string;
  readonly input: NodeInput;
  readonly connection?: Connection;
  readonly credential?: Readonly<Record<string, string>>;
  readonly machine?: Partial<RunnerMachine>;
  readonly namespace?: string;
  readonly spec?: Partial<TaskSpec>;
  readonly learnHostKey?: TaskContext['learnHostKey'];
  /** Called with each handle, before the executor may go on. */
  readonly onHandle?: (handle: Readonly<Record<string, string | number>>) => void | Promise<void>;
  /** Called with each piece of stdout; a promise slows the executor down. */
  readonly onStdout?: (bytes: Uint8Array) => void | Promise<void>;
}

/** A TaskContext for the running test, and what the executor gave it. Its folder goes with the test. */
export interface TestContext {
  readonly context: TaskContext;
  readonly folder: string;
  readonly notes: string[];
  readonly handles: Readonly<Record<string, string | number>>[];
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly stop: (reason: StopReason) => void;
  /** Says that the result is journalled. */
  readonly settle: () => void;
}

let attempts = 0;

export function testContext(options: TestContextOptions): TestContext {
  const folder = mkdtempSync(join(tmpdir(), 'outrider-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const controller = new AbortController();
  const [out, err]: [Uint8Array[], Uint8Array[]] = [[], []];
  const notes: string[] = [];
  const handles: Readonly<Record<string, string | number>>[] = [];
  const connection = options.connection ?? {};
  const settled = Promise.withResolvers<void>();
  const context: TaskContext = {
    attempt: { task: `test-${process.pid}-${++attempts}`, epoch: 1 },
    spec: {
      namespace: options.namespace ?? 'default',
      run: 'run-1',
      runUid: 'uid-1',
      workflow: 'workflow-1',
      step: 'step-1',
      node: options.node,
      input: options.input,
      connection,
      timeoutMs: 60_000,
      ...options.spec,
    },
    connection,
    credential: options.credential,
    machine: {
      kubeContexts: [],
      kubectl: 'kubectl',
      localExec: true,
      secretsDir: join(folder, 'secrets'),
      workDir: join(folder, 'work'),
      ...options.machine,
    },
    signal: controller.signal,
    stdout: {
      write: async (bytes) => {
        out.push(Uint8Array.from(bytes));
        await options.onStdout?.(bytes);
      },
    },
    stderr: { write: async (bytes) => void err.push(Uint8Array.from(bytes)) },
    note: async (line) => void notes.push(line),
    handle: async (handle) => {
      handles.push(handle);
      await options.onHandle?.(handle);
    },
    checkpoint: async () => ({ stdout: sizeOf(out), stderr: sizeOf(err) }),
    settled: settled.promise,
    needsTime: () => undefined,
    learnHostKey: options.learnHostKey ?? (() => Promise.reject(new Error('nobody was to be asked'))),
  };
  return {
    context,
    folder,
    notes,
    handles,
    stdout: () => Buffer.concat(out).toString(),
    stderr: () => Buffer.concat(err).toString(),
    stop: (reason) => controller.abort(reason),
    settle: settled.resolve,
  };
}

const sizeOf = (chunks: readonly Uint8Array[]): number =>
  chunks.reduce((sum, chunk) => sum + chunk.length, 0);
