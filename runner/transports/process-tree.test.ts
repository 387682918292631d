import { describe, expect, test } from 'vitest';
import { parseStat, type ProcessEntry } from './process-table.ts';
import { killTree, treeMembers } from './process-tree.ts';

const entry = (pid: number, ppid: number, more: Partial<ProcessEntry> = {}): ProcessEntry => ({
  pid,
  ppid,
  pgrp: 1,
  session: 1,
  startTime: String(pid),
  ...more,
});

/** Pids beyond what any system hands out, so that no real process answers for them. */
const [LEADER, CHILD, LEFT, OTHER] = [90_000_001, 90_000_002, 90_000_003, 90_000_004];
const root = { pid: LEADER, startTime: String(LEADER), bootId: 'boot', marker: 'OUTRIDER_ATTEMPT=none/1' };

describe('members of a tree', () => {
  test('are the session, the group and every descendant, even those that left the session', () => {
    const table = [
      entry(LEADER, 1, { session: LEADER, pgrp: LEADER }),
      entry(CHILD, 1, { session: LEADER }),
      entry(LEFT, CHILD, { session: LEFT, pgrp: LEFT }),
      entry(OTHER, 1),
    ];
    expect(treeMembers(root, table).map(({ pid }) => pid)).toEqual([LEADER, CHILD, LEFT]);
  });

  test('remain when the leader has ended', () => {
    expect(treeMembers(root, [entry(CHILD, 1, { session: LEADER })]).map(({ pid }) => pid)).toEqual([CHILD]);
  });

  test('are none when the leader’s pid was given to a later process', () => {
    const later = entry(LEADER, 1, { session: LEADER, pgrp: LEADER, startTime: 'later' });
    expect(treeMembers(root, [later, entry(CHILD, LEADER, { session: LEADER })])).toEqual([]);
  });
});

test('a tree of an earlier boot is gone', async () => {
  expect(await killTree(root)).toEqual({ found: false, left: [] });
});

test('a process may have any name, and a zombie has ended', () => {
  const stat = (state: string): string =>
    `42 (a) b (c\n) ${state} 7 42 40 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 8123 0 0`;
  expect(parseStat(42, stat('S'))).toEqual({ pid: 42, ppid: 7, pgrp: 42, session: 40, startTime: '8123' });
  expect(parseStat(42, stat('Z'))).toBeUndefined();
});
