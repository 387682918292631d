import { parentPort, workerData } from 'node:worker_threads';
import { attemptKey, OutriderError, type AttemptRef, type LogChunk } from '@outrider/protocol';
import { explainFailure } from '../ledger/sqlite/failures.ts';
import { serve, type Service } from '../ledger/sqlite/worker-host.ts';
import type { Answer, Call } from '../ledger/sqlite/worker-messages.ts';
import { DayFiles } from './day-files.ts';
import { ingest } from './ingest.ts';
import { readLines, readRaw } from './read-log.ts';
import type { CommitEvent, WorkerCalls } from './worker-calls.ts';

const unknown = { offset: 0, lines: 0, end: 'Open' } as const;

const createCalls = (days: DayFiles, changed: (ref: AttemptRef) => void): WorkerCalls => ({
  append: (chunks, now) =>
    chunks.map((chunk) => {
      const ref = { task: chunk.task, epoch: chunk.epoch };
      const log = days.findOrMake(ref, now);
      const before = log.offset;
      const answer = ingest(log, chunk, now);
      if (log.offset > before) changed(ref);
      return answer;
    }),
  seal: (ref, expected, now) => {
    const log = days.findOrMake(ref, now);
    log.seal(expected, now);
    changed(ref);
    return log.state;
  },
  abandon: (ref, now) => {
    days.findOrMake(ref, now).abandon(now);
    changed(ref);
  },
  state: (ref) => days.find(ref)?.state ?? unknown,
  lines: (ref, query) => {
    const log = days.find(ref);
    return log === undefined ? [] : readLines(log, query);
  },
  raw: (ref, from, stream) => {
    const log = days.find(ref);
    return log === undefined ? { pieces: [], next: from } : readRaw(log, from, stream);
  },
  prune: (before) => {
    // Closing a file would drop what this group has written to it.
    days.commit();
    days.prune(before);
  },
});

const bytesOf = (chunks: readonly LogChunk[]): number =>
  chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);

/** One commit a day file for each group of calls. A failure of the disk fails the whole group. */
const openService = (dir: string): Service => {
  const days = new DayFiles(dir);
  const changed = new Map<string, AttemptRef>();
  const calls = new Map(Object.entries(createCalls(days, (ref) => changed.set(attemptKey(ref), ref))));

  const run = ({ id, name, args }: Call): Answer => {
    const method = calls.get(name) as ((...args: readonly unknown[]) => unknown) | undefined;
    if (method === undefined) throw new Error(`the log store has no call ${name}`);
    return { id, ok: true, value: method(...args) };
  };

  const commitAll = (group: readonly Call[]): readonly Answer[] => {
    try {
      const answers = group.map(run);
      days.commit();
      return answers;
    } catch (error) {
      days.rollback();
      changed.clear();
      const problem =
        error instanceof OutriderError ? error.toJSON() : explainFailure(`log store ${dir}`, error);
      return group.map(({ id }) => ({ id, ok: false, problem }));
    }
  };

  return {
    opened: undefined,
    isRead: ({ name }) => name === 'lines' || name === 'raw' || name === 'state',
    bytesOf: ({ name, args }) => (name === 'append' ? bytesOf(args[0] as readonly LogChunk[]) : 0),
    handle: async (group) => {
      const answers = commitAll(group);
      const refs = [...changed.values()];
      changed.clear();
      return refs.length === 0 ? { answers } : { answers, event: { refs } satisfies CommitEvent };
    },
    close: () => days.close(),
  };
};

const { dir }: { dir: string } = workerData;
if (parentPort !== null) serve(parentPort, () => openService(dir));
