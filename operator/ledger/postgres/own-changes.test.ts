import { expect, test } from 'vitest';
import { OwnChanges } from './own-changes.ts';

test('a task is being committed until every commit with it has ended', () => {
  const own = new OwnChanges();
  own.begin(7, ['a', 'b']);
  own.begin(8, ['a']);
  own.end(['a', 'b']);
  expect([own.isCommitting('a'), own.isCommitting('b')]).toEqual([true, false]);
  own.end(['a']);
  expect(own.isCommitting('a')).toBe(false);
});

test('what was read before an answer about the task is told apart from what was read after it', () => {
  const own = new OwnChanges();
  const before = own.now();
  own.begin(7, ['a']);
  own.end(['a']);
  expect(own.wasAnsweredSince('a', before)).toBe(true);
  expect(own.wasAnsweredSince('a', own.now())).toBe(false);
  expect(own.wasAnsweredSince('b', before)).toBe(false);
});

test('a transaction that was not committed is not its own, since its number may be given out again', () => {
  const own = new OwnChanges();
  own.begin(7, ['a']);
  own.begin(8, ['a']);
  own.undo(8);
  expect([own.isOwn(7), own.isOwn(8)]).toEqual([true, false]);
});

test('what no later reading can meet is forgotten', () => {
  const own = new OwnChanges();
  own.begin(7, ['a']);
  own.end(['a']);
  own.begin(9, ['b']);
  own.end(['b']);
  own.forget(9, own.now() - 1);
  expect([own.isOwn(7), own.isOwn(9)]).toEqual([false, true]);
  expect([own.wasAnsweredSince('a', -1), own.wasAnsweredSince('b', -1)]).toEqual([false, true]);
});
