import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from './command.ts';
import { markedProcesses } from './marked.ts';
import { signalProcess, stopProcess } from './pids.ts';
import { waitFor } from './wait.ts';

/** One thing that was started or changed on the machine. */
export type Trace =
  | { readonly kind: 'folder'; readonly path: string }
  | {
      readonly kind: 'process';
      readonly name: string;
      readonly pid: number;
      readonly startTime: string;
      readonly log: string;
      readonly stopSignal: 'SIGTERM' | 'SIGKILL';
    }
  /** Every process whose environment carries this. */
  | { readonly kind: 'marked'; readonly variable: string; readonly value: string }
  | { readonly kind: 'interface'; readonly name: string }
  | { readonly kind: 'netns'; readonly name: string }
  | { readonly kind: 'cgroup'; readonly path: string };

/** Takes one trace back. Does nothing if it is gone already. */
export async function removeTrace(trace: Trace): Promise<void> {
  switch (trace.kind) {
    case 'folder':
      return removeFolder(trace.path);
    case 'process':
      return stopProcess(trace, trace.stopSignal);
    case 'marked':
      return endMarked(trace);
    case 'interface':
      return deleteInterface(trace.name);
    case 'netns':
      return deleteNetns(trace.name);
    case 'cgroup':
      return deleteCgroup(trace.path);
  }
}

async function endMarked(mark: { readonly variable: string; readonly value: string }): Promise<void> {
  const what = `processes with ${mark.variable}=${mark.value} to end`;
  await waitFor(what, () => killMarked(mark));
}

async function deleteNetns(name: string): Promise<void> {
  if (existsSync(`/run/netns/${name}`)) await must('ip', ['netns', 'delete', name]);
}

async function deleteCgroup(path: string): Promise<void> {
  const left = await waitFor(`the control groups below ${path} to be empty`, () => {
    try {
      return removeCgroup(path);
    } catch (error) {
      const busy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
      return busy ? undefined : error;
    }
  });
  if (left !== true) throw new Error(`cannot remove the control group ${path}`, { cause: left });
}

/** True when none is left; what they started meanwhile is found by the next look. */
function killMarked(mark: { readonly variable: string; readonly value: string }): boolean {
  const found = markedProcesses(mark.variable, mark.value);
  for (const identity of found) signalProcess(identity, 'SIGKILL');
  return found.length === 0;
}

/** A veth vanishes with the namespace of its other end, so losing the race to delete it is no failure. */
async function deleteInterface(name: string): Promise<void> {
  if (!existsSync(`/sys/class/net/${name}`)) return;
  const result = await run('ip', ['link', 'delete', name]);
  if (result.code !== 0 && existsSync(`/sys/class/net/${name}`)) {
    throw new Error(`cannot delete the network interface ${name}: ${result.stderr.trim()}`);
  }
}

/** Removing a folder through a mount would delete what is mounted there. */
function removeFolder(path: string): void {
  const mounts = process.platform === 'linux' ? readFileSync('/proc/self/mounts', 'utf8') : '';
  const mounted = mounts
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point === path || point.startsWith(`${path}/`));
  if (mounted.length > 0) throw new Error(`not removing ${path}: ${mounted.join(', ')} is mounted there`);
  rmSync(path, { recursive: true, force: true });
}

/** Removes a control group and those below it; true when it is gone. */
function removeCgroup(path: string): boolean {
  if (!existsSync(path)) return true;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(path, entry.name));
  }
  rmdirSync(path);
  return true;
}
