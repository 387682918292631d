import { expect, test } from 'vitest';
import { aTaskRecord } from '../testing/builders.ts';
import { attemptsOf, inOrder } from './reader.ts';

test('tasks are in the order of their steps and targets, and what finds out about them comes last', () => {
  const tasks = [
    aTaskRecord({ id: 'b-v1', stepIndex: 1, target: 'web-1', probeOf: 'b' }),
    aTaskRecord({ id: 'c', stepIndex: 1, target: 'web-2' }),
    aTaskRecord({ id: 'b', stepIndex: 1, target: 'web-1' }),
    aTaskRecord({ id: 'a' }),
  ];
  expect(inOrder(tasks).map(({ id }) => id)).toEqual(['a', 'b', 'b-v1', 'c']);
});

test('the logs of all attempts are read, oldest first, of very many the last ones', () => {
  const epochs = (epoch: number, asked?: number): readonly number[] =>
    attemptsOf(aTaskRecord({ epoch }), asked).map((ref) => ref.epoch);
  expect(epochs(0)).toEqual([]);
  expect(epochs(3)).toEqual([1, 2, 3]);
  expect(epochs(50)).toHaveLength(20);
  expect([epochs(50)[0], epochs(50).at(-1)]).toEqual([31, 50]);
  expect([epochs(50, 2), epochs(1, 2), epochs(0, 0)]).toEqual([[2], [], []]);
});
