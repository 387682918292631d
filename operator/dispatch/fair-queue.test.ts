import { expect, test } from 'vitest';
import { FairQueue } from './fair-queue.ts';

const drain = (queue: FairQueue): string[] => {
  const taken: string[] = [];
  let turn = 0;
  for (let task = queue.take(++turn); task !== undefined; task = queue.take(++turn)) taken.push(task);
  return taken;
};

test('a run with many tasks takes turns with a run that has few', () => {
  const queue = new FairQueue();
  for (let i = 0; i < 4; i++) queue.add('big', `big-${i}`);
  queue.add('small', 'small-0');
  queue.add('small', 'small-1');
  expect(drain(queue)).toEqual(['big-0', 'small-0', 'big-1', 'small-1', 'big-2', 'big-3']);
  expect([queue.size, queue.turn]).toEqual([0, undefined]);
});

test('a removed task is not taken, and a task added twice is taken once', () => {
  const queue = new FairQueue();
  queue.add('run', 'a');
  queue.add('run', 'a');
  queue.add('run', 'b');
  queue.remove('run', 'b');
  queue.remove('unknown', 'b');
  expect(queue.size).toBe(1);
  expect(drain(queue)).toEqual(['a']);
});
