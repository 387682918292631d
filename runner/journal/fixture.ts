import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeFrame, type AttemptRef, type TaskResult, type TaskSpec } from '@outrider/protocol';
import type { Journal } from './contract.ts';
import { openJournal } from './journal.ts';
import type { JournalOptions } from './options.ts';

export const spec: TaskSpec = {
  namespace: 'ops',
  run: 'patch-1',
  runUid: 'u-1',
  workflow: 'patch',
  step: 'step-1',
  node: 'local-exec',
  input: { script: 'uptime' },
  timeoutMs: 1000,
};
export const record = { generation: 'g1', spec };
export const instant = '2026-01-02T03:04:05.678Z';

export const ref = (task: string, epoch = 1): AttemptRef => ({ task, epoch });

/** One stdout frame. */
export const frame = (seq: number, line: string): Uint8Array =>
  encodeFrame({ seq, stream: 'stdout', ts: 1n, payload: new TextEncoder().encode(line) });

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const resultFor = (log: TaskResult['log']): TaskResult => ({
  outcome: 'Succeeded',
  exitCode: 0,
  startedAt: instant,
  finishedAt: instant,
  log,
});

/** Seals the log and records a result over it. */
export const finish = async (journal: Journal, attempt: AttemptRef): Promise<TaskResult> => {
  const result = resultFor(await journal.sealLog(attempt));
  await journal.finished(attempt, result);
  return result;
};

/** Accepted, one line logged, finished and acknowledged. */
export const complete = async (journal: Journal, attempt: AttemptRef, line: string): Promise<void> => {
  await journal.accepted(attempt, record);
  await journal.append(attempt, frame(0, line));
  await finish(journal, attempt);
  await journal.acknowledged(attempt);
};

/** A temporary folder and the journals opened in it. */
export interface Desk {
  readonly folder: string;
  open(options?: Partial<JournalOptions>): Promise<Journal>;
  clear(): Promise<void>;
}

export const openDesk = async (): Promise<Desk> => {
  const folder = await mkdtemp(join(tmpdir(), 'journal-'));
  const opened: Journal[] = [];
  return {
    folder,
    open: async (options) => {
      const journal = await openJournal({ folder, ...options });
      opened.push(journal);
      return journal;
    },
    clear: async () => {
      for (const journal of opened) await journal.close().catch(() => undefined);
      await rm(folder, { recursive: true, force: true });
    },
  };
};
