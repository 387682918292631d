import { expect, test } from 'vitest';
import { goesBefore, WaitingLine } from './waiting-line.ts';

const waiter = (id: string, runUid: string, priority = 0) => ({ id, runUid, priority });

const drain = (line: WaitingLine): string[] => {
  const taken: string[] = [];
  let turn = 0;
  for (let task = line.take(++turn); task !== undefined; task = line.take(++turn)) taken.push(task);
  return taken;
};

test('an incident overtakes 10,000 tasks that have waited for longer, and they go on in turn afterwards', () => {
  const line = new WaitingLine();
  for (let i = 0; i < 10_000; i++) line.add(waiter(`patch-${i}`, 'patch'));
  line.add(waiter('nightly', 'nightly', -100));
  line.add(waiter('incident-0', 'incident', 500));
  line.add(waiter('incident-1', 'incident', 500));
  expect([line.before(500), line.before(0), line.before(-100)]).toEqual([0, 2, 10_002]);
  const taken = drain(line);
  expect(taken.slice(0, 3)).toEqual(['incident-0', 'incident-1', 'patch-0']);
  expect(taken.at(-1)).toBe('nightly');
  expect([taken.length, line.empty, line.head]).toEqual([10_003, true, undefined]);
});

test('runs of one priority take turns, and the head tells when the next one had its last', () => {
  const line = new WaitingLine();
  for (const id of ['a-0', 'a-1', 'a-2']) line.add(waiter(id, 'a'));
  line.add(waiter('b-0', 'b'));
  expect(line.head).toEqual({ priority: 0, turn: 0 });
  expect([line.take(7), line.head?.turn, line.take(8), line.head?.turn]).toEqual(['a-0', 0, 'b-0', 7]);
});

test('what was removed has no turn', () => {
  const line = new WaitingLine();
  line.add(waiter('a', 'run', 3));
  line.add(waiter('b', 'run', 3));
  line.remove(waiter('a', 'run', 3));
  line.remove(waiter('c', 'other', 9));
  expect(drain(line)).toEqual(['b']);
});

test('of two lines the one with the higher priority goes first, then the one whose turn is longest ago', () => {
  expect(goesBefore({ priority: 1, turn: 9 }, { priority: 0, turn: 1 })).toBe(true);
  expect(goesBefore({ priority: 0, turn: 1 }, { priority: 0, turn: 9 })).toBe(true);
  expect(goesBefore({ priority: 0, turn: 9 }, { priority: 0, turn: 9 })).toBe(false);
});
