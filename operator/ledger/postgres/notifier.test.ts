import { expect, test } from 'vitest';
import { formatPayload, parsePayload } from './notifier.ts';

test('a payload names the operator and its tasks, and says "many" when they do not fit', () => {
  expect(parsePayload(formatPayload('operator-1', ['a', 'b']))).toEqual({
    replica: 'operator-1',
    tasks: ['a', 'b'],
  });
  const many = Array.from({ length: 1000 }, (_, index) => `run-uid-${index}-task`);
  const payload = formatPayload('operator-1', many);
  expect(Buffer.byteLength(payload)).toBeLessThan(8000);
  expect(parsePayload(payload)).toEqual({ replica: 'operator-1', tasks: undefined });
});
