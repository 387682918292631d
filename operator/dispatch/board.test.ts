import { describe, expect, test } from 'vitest';
import type { TaskRecord } from '../ledger/records.ts';
import { aTaskRecord, start } from '../testing/builders.ts';
import { Board } from './board.ts';
import { demandOf } from './eligibility.ts';

const readyTask = (id: string, over: Partial<TaskRecord> = {}): TaskRecord =>
  aTaskRecord({ id, state: 'Ready', readyAt: start, queueDeadline: start + 3_600_000, ...over });

const demand = demandOf(readyTask('any'));

const offered = (task: TaskRecord): TaskRecord => ({
  ...task,
  state: 'Offered',
  epoch: task.epoch + 1,
  runner: 'key-1',
});

/** Takes and offers what may be offered now. */
const takeAll = (board: Board): string[] => {
  const taken: string[] = [];
  for (let task = board.takeReady(demand); task; task = board.takeReady(demand)) {
    taken.push(task.id);
    board.apply([offered(task)]);
  }
  return taken;
};

const end = (board: Board, id: string): void => {
  const task = board.get(id);
  if (!task) throw new Error(`${id} is not on the board`);
  board.apply([{ ...task, state: 'Succeeded' }]);
};

describe('a Target with maxParallel', () => {
  const lock = { lockKey: 'payments/db-1', lockMax: 2 };
  const wave = Array.from({ length: 10_000 }, (_, i) => readyTask(`db-${i}`, { ...lock, runUid: 'wave' }));

  test('gets as many at a time, and 10,000 that wait for it do not hold up the line', () => {
    const board = new Board({ now: () => start });
    board.apply([...wave, readyTask('web', { runUid: 'other' })]);
    expect(takeAll(board).toSorted()).toEqual(['db-0', 'db-1', 'web']);
    expect(board.demands()).toEqual([]);
    end(board, 'db-0');
    expect(takeAll(board)).toEqual(['db-2']);
    const began = performance.now();
    for (let i = 1; i < 1001; i++) {
      end(board, `db-${i}`);
      expect(takeAll(board)).toEqual([`db-${i + 2}`]);
    }
    // A scan of the 10,000 at each end would take a thousand times as long.
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test('that the ledger says is full is tried again when an attempt there ends, or a little later', () => {
    let now = start;
    const board = new Board({ now: () => now });
    board.apply([readyTask('a', lock), readyTask('b', lock)]);
    const first = board.takeReady(demand);
    expect(first?.id).toBe('a');
    board.setAside({ task: 'a', reason: 'TargetBusy', key: lock.lockKey });
    expect([board.takeReady(demand), board.nextDue]).toEqual([undefined, start + 2000]);
    now += 2000;
    expect(board.demands()).toHaveLength(1);
    expect(board.takeReady(demand)?.id).toBe('a');
    board.setAside({ task: 'a', reason: 'TargetBusy', key: lock.lockKey });
    board.apply([aTaskRecord({ id: 'other', state: 'Failed', epoch: 1, ...lock })]);
    expect(takeAll(board).toSorted()).toEqual(['a', 'b']);
  });

  test('keeps its place while nobody knows whether the attempt has ended', () => {
    const board = new Board({ now: () => start });
    const task = { ...readyTask('a', lock), lockMax: 1 };
    board.apply([task, { ...readyTask('b', lock), lockMax: 1 }]);
    expect(takeAll(board)).toEqual(['a']);
    for (const state of ['Unknown', 'Verifying', 'AwaitingHuman'] as const) {
      board.apply([{ ...task, state, epoch: 1, runner: 'key-1' }]);
      expect(takeAll(board)).toEqual([]);
    }
    end(board, 'a');
    expect(takeAll(board)).toEqual(['b']);
  });
});

describe('a namespace with a quota', () => {
  test('gets no more attempts at a time, and the next one when one of them ends', () => {
    const board = new Board({ now: () => start, namespaceConcurrency: 2 });
    board.apply([readyTask('a'), readyTask('b'), readyTask('c')]);
    expect(takeAll(board)).toEqual(['a', 'b']);
    expect([board.isNamespaceFull('payments'), board.demands()]).toEqual([true, []]);
    end(board, 'a');
    expect(takeAll(board)).toEqual(['c']);
  });

  test('is no reason for a probe to wait, which finds out what became of lost work', () => {
    const board = new Board({ now: () => start, namespaceConcurrency: 1 });
    const probe = readyTask('probe', { probeOf: 'lost' });
    board.apply([readyTask('a'), readyTask('b'), probe]);
    expect(takeAll(board)).toEqual(['a']);
    expect(board.demands().map((line) => line.demand)).toEqual([demandOf(probe)]);
    expect(board.takeReady(demandOf(probe))?.id).toBe('probe');
  });

  test('that other replicas have filled is left alone for a while', () => {
    let now = start;
    const board = new Board({ now: () => now, namespaceConcurrency: 2 });
    board.apply([readyTask('a')]);
    board.takeReady(demand);
    board.setAside({ task: 'a', reason: 'QuotaReached', key: 'payments' });
    expect([board.demands(), board.takeReady(demand)]).toEqual([[], undefined]);
    now += 2000;
    expect(board.demands()).toHaveLength(1);
    expect(takeAll(board)).toEqual(['a']);
  });
});

describe('a retry', () => {
  test('waits for its back-off without holding up others, and is due at its time', () => {
    let now = start;
    const board = new Board({ now: () => now });
    board.apply([readyTask('again', { epoch: 1, notBefore: start + 20_000 }), readyTask('fresh')]);
    expect(takeAll(board)).toEqual(['fresh']);
    expect(board.nextDue).toBe(start + 20_000);
    now = start + 19_999;
    expect(board.demands()).toEqual([]);
    now += 1;
    expect(board.demands()).toHaveLength(1);
    expect(takeAll(board)).toEqual(['again']);
    expect(board.nextDue).toBeUndefined();
  });

  test('that is cancelled while it waits is not due any more', () => {
    const board = new Board({ now: () => start });
    const task = readyTask('again', { epoch: 1, notBefore: start + 20_000 });
    board.apply([task]);
    board.apply([{ ...task, state: 'Cancelled' }]);
    expect([board.nextDue, board.size]).toEqual([undefined, 0]);
  });
});

test('what could not be offered takes no place and is next again', () => {
  const board = new Board({ now: () => start, namespaceConcurrency: 1 });
  board.apply([readyTask('a', { lockKey: 'payments/db', lockMax: 1 })]);
  const task = board.takeReady(demand);
  if (!task) throw new Error('nothing was taken');
  expect(board.takeReady(demand)).toBeUndefined();
  board.putBack(task);
  expect(takeAll(board)).toEqual(['a']);
});
