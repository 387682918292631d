import type { AttemptRef, LogChunk } from '@outrider/protocol';
import { startWorker, workerUrl } from '../ledger/sqlite/worker-client.ts';
import type { LogStore } from './contract.ts';
import type { CommitEvent, WorkerCalls } from './worker-calls.ts';

/** A view would take the whole buffer below it along to the worker. */
const ownBytes = (chunk: LogChunk): LogChunk => ({ ...chunk, bytes: new Uint8Array(chunk.bytes) });

/**
 * Opens (or makes) the log store of a folder: one SQLite file per UTC day, in a worker thread of its own.
 * @param options.now Milliseconds since the Unix epoch. Default: the system's clock.
 * @throws OutriderError Unavailable when a file is in use by another process, damaged, or cannot be written.
 */
export const openSqliteLogStore = async (options: { dir: string; now?: () => number }): Promise<LogStore> => {
  const { dir, now = Date.now } = options;
  const url = workerUrl(import.meta.url, './worker.ts', './logs-worker.js');
  const worker = await startWorker<undefined, CommitEvent>({
    what: `log store ${dir}`,
    url,
    workerData: { dir },
  });
  const listeners = new Set<(refs: readonly AttemptRef[]) => void>();
  worker.onEvent(({ refs }) => {
    for (const listener of listeners) listener(refs);
  });
  const call = <Name extends keyof WorkerCalls>(
    name: Name,
    ...args: Parameters<WorkerCalls[Name]>
  ): Promise<ReturnType<WorkerCalls[Name]>> => worker.call(name, args);

  return {
    append: (chunks) => call('append', chunks.map(ownBytes), now()),
    seal: (ref, expected) => call('seal', ref, expected, now()),
    abandon: (ref) => call('abandon', ref, now()),
    state: (ref) => call('state', ref),
    lines: (ref, query) => call('lines', ref, query),
    raw: async function* (ref, { stream } = {}) {
      let page = await call('raw', ref, 0, stream);
      while (page.pieces.length > 0) {
        yield* page.pieces;
        page = await call('raw', ref, page.next, stream);
      }
    },
    onCommit: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    prune: (before) => call('prune', before),
    close: () => worker.close(),
  };
};
