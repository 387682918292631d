import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { protocolVersion, type TaskSpec } from '@outrider/protocol';
import { expect, vi } from 'vitest';
import type { Journal } from '../../journal/contract.ts';
import { openJournal } from '../../journal/journal.ts';
import { createAgent, type Agent, type AgentEnd } from '../agent.ts';
import { createTransport, type Transport } from '../http.ts';
import { loadKey } from '../key.ts';
import type { Logger } from '../log.ts';
import { register } from '../register.ts';
import { ScriptedHost, type Play } from './host.ts';
import { TestOperator } from './operator.ts';

export const spec: TaskSpec = {
  namespace: 'prod',
  run: 'run-1',
  runUid: 'uid-1',
  workflow: 'wf',
  step: 'step-1',
  node: 'local-exec',
  input: { script: 'true' },
  timeoutMs: 60_000,
};

export const ref = (task: string, epoch = 1) => ({ task, epoch });

/** Collects what the runner logs. */
export const memoryLogger = (): Logger & { lines: string[] } => {
  const lines: string[] = [];
  const add = (message: string, fields = {}): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { lines, info: add, warn: add, error: add };
};

/** Waits for a condition, for at most ten seconds. */
export const eventually = (check: () => void): Promise<void> =>
  vi.waitFor(check, { timeout: 10_000, interval: 5 });

export interface Workbench {
  readonly operator: TestOperator;
  readonly stateDir: string;
  readonly logger: ReturnType<typeof memoryLogger>;
  /** The current process of the runner. */
  journal: Journal;
  host: ScriptedHost;
  agent: Agent;
  ended: Promise<AgentEnd>;
  transport: Transport;
  /** Starts a runner process on the state folder. */
  start(play: Play): Promise<void>;
  /** Ends it as a kill would: nothing more is sent. */
  kill(): Promise<void>;
  drain(): Promise<AgentEnd>;
  close(): Promise<void>;
}

const clientId = 'client-1';

/** A registered runner with a real journal, against a test operator. */
export const createWorkbench = async (
  options: { capacity?: number; silenceMs?: number; drainTimeoutMs?: number } = {},
): Promise<Workbench> => {
  const operator = await TestOperator.start();
  const stateDir = await mkdtemp(join(tmpdir(), 'runner-'));
  const logger = memoryLogger();
  const stop = new AbortController().signal;
  await register({ token: operator.token, name: 'runner-1', stateDir, proxy: {}, logger, stop });
  const key = await loadKey(stateDir);
  if (key === undefined) throw new Error('no key after registration');

  const bench = { operator, stateDir, logger } as Workbench;
  bench.start = async (play) => {
    bench.journal = await openJournal({
      folder: join(stateDir, 'journal'),
      maxBytes: 2 ** 30,
      slotBytes: 2 ** 25,
    });
    bench.host = new ScriptedHost(bench.journal, play);
    bench.transport = createTransport({ url: operator.url, ca: operator.certificates.ca });
    bench.agent = createAgent({
      transport: bench.transport,
      key,
      clientId,
      journal: bench.journal,
      host: bench.host,
      session: {
        protocolVersion,
        version: 'test',
        startedAt: new Date().toISOString(),
        capacity: options.capacity ?? 4,
        nodes: ['local-exec'],
      },
      drainTimeoutMs: options.drainTimeoutMs ?? 60_000,
      logger,
      ...(options.silenceMs === undefined ? {} : { silenceMs: options.silenceMs }),
    });
    bench.ended = bench.agent.run();
  };
  bench.kill = async () => {
    await bench.transport.close();
    await bench.journal.close();
  };
  bench.drain = async () => {
    bench.agent.interrupt();
    const end = await bench.ended;
    await bench.journal.close();
    await bench.transport.close();
    return end;
  };
  bench.close = async () => {
    await operator.stop();
    await rm(stateDir, { recursive: true, force: true });
  };
  return bench;
};

export const expectDrained = (end: AgentEnd): void =>
  expect(end).toEqual({ kind: 'Drained', delivered: true });
