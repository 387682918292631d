import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Heap } from './heap.ts';

test('what was pushed in any order is popped in order', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const heap = new Heap<number>((a, b) => a < b);
      for (const number of numbers) heap.push(number);
      const popped: number[] = [];
      for (let least = heap.pop(); least !== undefined; least = heap.pop()) popped.push(least);
      expect(popped).toEqual(numbers.toSorted((a, b) => a - b));
      expect(heap.peek()).toBeUndefined();
    }),
  );
});
