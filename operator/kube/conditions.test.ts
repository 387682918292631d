import { describe, expect, test } from 'vitest';
import { conditionsFrom, findCondition, nameList, type Condition } from './conditions.ts';

const now = Date.parse('2026-11-22T12:00:00.500Z');
const ready = {
  type: 'Ready',
  status: 'True',
  reason: 'Accepted',
  message: 'The spec is accepted.',
} as const;
const before: Condition[] = [
  { ...ready, message: 'Old words.', lastTransitionTime: '2026-11-01T00:00:00Z', observedGeneration: 1 },
  { type: 'Gone', status: 'True', reason: 'Was', message: '', lastTransitionTime: '2026-11-01T00:00:00Z' },
];

describe('conditions from verdicts', () => {
  test('a new one has its time in whole seconds, and the generation that it speaks of', () => {
    expect(conditionsFrom([ready], undefined, { now, generation: 4 })).toEqual([
      { ...ready, lastTransitionTime: '2026-11-22T12:00:00Z', observedGeneration: 4 },
    ]);
  });

  test('the time stays while the status does, whatever else changes, and types without a verdict go', () => {
    expect(conditionsFrom([ready], before, { now, generation: 2 })).toEqual([
      { ...ready, lastTransitionTime: '2026-11-01T00:00:00Z', observedGeneration: 2 },
    ]);
  });

  test('the time is new when the status is', () => {
    const [condition] = conditionsFrom([{ ...ready, status: 'False' }], before, {
      now,
      generation: undefined,
    });
    expect(condition).toEqual({ ...ready, status: 'False', lastTransitionTime: '2026-11-22T12:00:00Z' });
  });

  test('is found by type', () => {
    expect(findCondition(before, 'Gone')?.reason).toBe('Was');
    expect(findCondition(undefined, 'Ready')).toBeUndefined();
  });
});

test.each([
  [[], ''],
  [['a'], 'a'],
  [['a', 'b'], 'a and b'],
  [['a', 'b', 'c'], 'a, b and c'],
  [['a', 'b', 'c', 'd', 'e', 'f', 'g'], 'a, b, c, d, e and 2 more'],
])('names %j read as "%s"', (names, text) => {
  expect(nameList(names)).toBe(text);
});
