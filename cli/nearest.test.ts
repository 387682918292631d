import { expect, test } from 'vitest';
import { nearest } from './nearest.ts';

const known = ['run', 'runs', 'logs', 'describe', 'cancel', 'runners'];

test('a slip of the fingers finds its word', () => {
  expect(nearest('lgos', known)).toBeUndefined();
  expect(nearest('logz', known)).toBe('logs');
  expect(nearest('descrbe', known)).toBe('describe');
  expect(nearest('cancle', known)).toBe('cancel');
  expect(nearest('desc', known)).toBe('describe');
});

test('a word unlike all others finds none', () => {
  expect(nearest('apply', known)).toBeUndefined();
  expect(nearest('', known)).toBeUndefined();
});
