import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import type { AttemptRef } from '@outrider/protocol';
import type { TaskRecord } from '../ledger/records.ts';
import type { LogState } from '../logs/contract.ts';
import { aTaskRecord, start } from '../testing/builders.ts';
import { logEnd, trailMs } from './log-end.ts';

const ended = (over: Partial<TaskRecord> = {}): TaskRecord => ({
  ...aTaskRecord(),
  state: 'Succeeded',
  startedAt: start,
  finishedAt: start + 1000,
  result: {
    outcome: 'Succeeded',
    startedAt: '2026-11-22T12:00:00Z',
    finishedAt: '2026-11-22T12:00:01Z',
    log: { length: 1, sha256: '0'.repeat(64) },
  },
  ...over,
});

/** A log whose end and commits the test decides; `wait` says whether a reader still waits. */
const bench = (task: TaskRecord, now = start + 1000) => {
  const listeners = new Set<(refs: readonly AttemptRef[]) => void>();
  const client = new AbortController();
  const log: LogState = { offset: 0, lines: 0, end: 'Open' };
  const state = { log };
  const logs = {
    state: () => Promise.resolve(state.log),
    onCommit: (listener: (refs: readonly AttemptRef[]) => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  let waiting = true;
  const done = logEnd(task, { logs, now: () => now, signal: client.signal }).then(() => (waiting = false));
  return {
    client,
    done,
    listeners,
    isWaiting: async () => {
      await turn();
      return waiting;
    },
    commit: (end: LogState['end'], id = task.id) => {
      state.log = { ...log, end };
      for (const listener of listeners) listener([{ task: id, epoch: task.epoch }]);
    },
  };
};

test('a log that trails its result is waited for until it is whole', async () => {
  const reader = bench(ended());
  expect(await reader.isWaiting()).toBe(true);
  reader.commit('Open');
  expect(await reader.isWaiting()).toBe(true);
  reader.commit('Complete');
  await reader.done;
  expect(reader.listeners.size).toBe(0);
});

test('a reader who goes away ends the wait', async () => {
  const reader = bench(ended());
  expect(await reader.isWaiting()).toBe(true);
  reader.client.abort();
  await reader.done;
  expect(reader.listeners.size).toBe(0);
});

test.each([
  ['runs', ended({ state: 'Running', finishedAt: null }), start],
  ['never started', ended({ state: 'Cancelled', startedAt: null }), start],
  ['was lost', ended({ state: 'Lost', result: null }), start + 1000],
  ['ended longer ago than a log may trail', ended(), start + 1000 + trailMs],
])('a task that %s is not waited for', async (_, task, now) => {
  const reader = bench(task, now);
  expect(await reader.isWaiting()).toBe(false);
});
