import { expect, test } from 'vitest';
import { LogCursor } from './cursor.ts';

test('a line counts once, and those before it no more', () => {
  const cursor = new LogCursor();
  expect([0, 1, 1, 0, 2].map((line) => cursor.take({ task: 'a', epoch: 1, line }))).toEqual([
    true,
    true,
    false,
    false,
    true,
  ]);
  expect(cursor.next('a', 1)).toBe(3);
  expect(cursor.next('a', 2)).toBe(0);
});

test('each attempt has a place of its own', () => {
  const cursor = new LogCursor();
  cursor.take({ task: 'a', epoch: 1, line: 7 });
  cursor.take({ task: 'b', epoch: 1, line: 0 });
  expect(cursor.take({ task: 'a', epoch: 2, line: 0 })).toBe(true);
  expect(cursor.after()).toBe('a.2.0,b.1.0,a.1.7');
});

test('before the first line there is no place to go on from', () => {
  expect(new LogCursor().after()).toBeUndefined();
});

test('of more attempts than fit, those read last are named, within the bound of the parameter', () => {
  const cursor = new LogCursor();
  for (let task = 0; task < 1000; task += 1) cursor.take({ task: `task-${task}`, epoch: 1, line: 5 });
  const after = cursor.after() ?? '';
  expect(after.length).toBeLessThanOrEqual(8192);
  expect(after.startsWith('task-999.1.5,task-998.1.5,')).toBe(true);
  expect(after).not.toContain('task-0.1.5');
  expect(cursor.take({ task: 'task-0', epoch: 1, line: 5 })).toBe(false);
});
