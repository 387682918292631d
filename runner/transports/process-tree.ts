import { setTimeout as sleep } from 'node:timers/promises';
import { bootId, hasVariable, processTable, type ProcessEntry } from './process-table.ts';

/** The first process of a tree, which leads a session and group of its own, and what marks those that left it. */
export interface TreeRoot {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
  /** `NAME=value` in the environment of each process of the tree. */
  readonly marker: string;
}

export interface KillOptions {
  /** From TERM to KILL. Default: 5,000 ms. */
  readonly graceMs?: number;
  /** From KILL to giving up. Default: 5,000 ms. */
  readonly killMs?: number;
}

export interface KillOutcome {
  /** Something of the tree was alive when the kill began. */
  readonly found: boolean;
  /** Pids that outlived KILL; empty when the tree is surely gone. */
  readonly left: readonly number[];
}

/**
 * Processes of a tree that are alive: of the root's session or group, their descendants, and those that carry the marker
 * in their environment (so a child that called setsid is found).
 */
export function treeMembers(root: TreeRoot, table: readonly ProcessEntry[] = processTable()): ProcessEntry[] {
  const leader = table.find((each) => each.pid === root.pid);
  const reused = leader !== undefined && leader.startTime !== root.startTime;
  const belongs = (each: ProcessEntry): boolean =>
    !reused && (each.pid === root.pid || each.session === root.pid || each.pgrp === root.pid);
  const members = new Set(table.filter((each) => belongs(each) || hasVariable(each.pid, root.marker)));
  const pids = new Set([...members].map((each) => each.pid));
  for (let grown = true; grown;) {
    const children = table.filter((each) => pids.has(each.ppid) && !members.has(each));
    for (const child of children) members.add(child);
    for (const child of children) pids.add(child.pid);
    grown = children.length > 0;
  }
  return [...members].filter((each) => each.pid !== process.pid);
}

/** TERM to the whole tree, KILL to what is left after the grace, and a look at whether anything remains. */
export async function killTree(root: TreeRoot, options: KillOptions = {}): Promise<KillOutcome> {
  if (root.bootId !== bootId()) return { found: false, left: [] };
  const first = treeMembers(root);
  if (first.length === 0) return { found: false, left: [] };
  signalAll(first, 'SIGTERM');
  if (await gone(root, options.graceMs ?? 5_000)) return { found: true, left: [] };
  await gone(root, options.killMs ?? 5_000, 'SIGKILL');
  return { found: true, left: treeMembers(root).map((each) => each.pid) };
}

/** Signals again at each look: a tree may fork faster than it is listed. */
async function gone(root: TreeRoot, timeoutMs: number, signal?: NodeJS.Signals): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  for (let wait = 5; ; wait = Math.min(wait * 2, 100)) {
    const members = treeMembers(root);
    if (members.length === 0) return true;
    if (performance.now() >= deadline) return false;
    if (signal !== undefined) signalAll(members, signal);
    await sleep(wait);
  }
}

function signalAll(members: readonly ProcessEntry[], signal: NodeJS.Signals): void {
  for (const { pid } of members) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended, or is another user's: the look that follows decides.
    }
  }
}
