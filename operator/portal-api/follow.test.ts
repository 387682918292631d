import { OutriderError } from '@outrider/protocol';
import { expect, test } from 'vitest';
import { aRun, aRunRecord, aTaskRecord, start } from '../testing/builders.ts';
import { followRun, type FollowSources } from './follow.ts';
import { parseAfter } from './log-routes.ts';

/** A run whose log never falls silent: each look at it shows another line, a second later. */
const busyLog = (): { sources: FollowSources; now: () => number } => {
  let at = start;
  let wake = (): void => undefined;
  const stop = (): void => undefined;
  const task = aTaskRecord({ state: 'Running', epoch: 1, runner: 'key', runnerName: 'edge-1' });
  return {
    now: () => at,
    sources: {
      runs: { get: () => aRun(), onChange: () => stop },
      ledger: { readRun: () => Promise.resolve({ run: aRunRecord(), tasks: [task] }) },
      board: { onTask: () => stop },
      logs: {
        onCommit: (listener) => {
          wake = () => listener([{ task: task.id, epoch: 1 }]);
          return stop;
        },
        state: () => Promise.resolve({ offset: 0, lines: 0, end: 'Open' }),
        lines: (_, { from }) => {
          at += 1000;
          setImmediate(wake);
          return Promise.resolve([{ line: from, stream: 'stdout', at, text: 'x', complete: true }]);
        },
      },
    },
  };
};

test('a stream that never falls silent ends soon after the user may no longer read', async () => {
  const { sources, now } = busyLog();
  const forbidden = new OutriderError({ code: 'Forbidden', message: 'No longer.', action: 'Ask.' });
  const events: string[] = [];
  const stream = followRun({
    sources,
    namespace: 'payments',
    name: 'restart-1',
    step: undefined,
    cursors: new Map(),
    signal: new AbortController().signal,
    now,
    recheck: () => Promise.reject(forbidden),
  });
  for await (const event of stream) {
    events.push(event);
    if (events.length > 100) break;
  }
  expect(events.filter((event) => event.includes('event: line'))).toHaveLength(5);
  expect(events.at(-1)).toBe(
    'event: problem\ndata: {"code":"Forbidden","message":"No longer.","action":"Ask."}\n\n',
  );
});

test('the logs of former attempts are sent once, before that of the current one', async () => {
  const stop = (): void => undefined;
  const task = aTaskRecord({ state: 'Succeeded', epoch: 3, finishedAt: start });
  const texts = ['failed', '', 'done'];
  const read: number[] = [];
  const stream = followRun({
    sources: {
      runs: { get: () => aRun(), onChange: () => stop },
      ledger: {
        readRun: () =>
          Promise.resolve({ run: aRunRecord({ state: 'Succeeded', finishedAt: start }), tasks: [task] }),
      },
      board: { onTask: () => stop },
      logs: {
        onCommit: () => stop,
        state: () => Promise.resolve({ offset: 1, lines: 1, end: 'Complete' }),
        lines: ({ epoch }, { from }) => {
          read.push(epoch);
          const text = texts[epoch - 1] ?? '';
          if (from > 0 || text === '') return Promise.resolve([]);
          return Promise.resolve([{ line: 0, stream: 'stdout', at: start, text, complete: true }]);
        },
      },
    },
    namespace: 'payments',
    name: 'restart-1',
    step: undefined,
    cursors: new Map(),
    signal: new AbortController().signal,
    now: () => start,
    recheck: () => Promise.resolve(),
  });
  const events: string[] = [];
  for await (const event of stream) events.push(event.split('\n').slice(0, 2).join(' '));
  expect(events).toEqual([
    'id: task-1.1.0 event: line',
    'id: task-1.3.0 event: line',
    expect.stringMatching(/^event: task /),
    expect.stringMatching(/^event: run /),
  ]);
  // Once on the way, once for what trailed.
  expect(read).toEqual([1, 2, 3, 1, 2, 3]);
});

test('places to go on from that are none are left out', () => {
  expect([...parseAfter('a.1.7,b.2.x,c.1.,.1.1,d.1.0.5,e.1.0')]).toEqual([
    ['a/1', 8],
    ['e/1', 1],
  ]);
});
