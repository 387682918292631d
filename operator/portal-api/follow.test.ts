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

test('places to go on from that are none are left out', () => {
  expect([...parseAfter('a.1.7,b.2.x,c.1.,.1.1,d.1.0.5,e.1.0')]).toEqual([
    ['a/1', 8],
    ['e/1', 1],
  ]);
});
