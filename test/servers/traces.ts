import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must, run } from './command.ts';
import { stopProcess } from './pids.ts';
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
      /** Time between SIGTERM and SIGKILL. */
      readonly graceMs: number;
    }
  | { readonly kind: 'interface'; readonly name: string }
  | { readonly kind: 'netns'; readonly name: string }
  | { readonly kind: 'cgroup'; readonly path: string }
  | { readonly kind: 'sysctl'; readonly path: string; readonly value: string };

/** Takes one trace back. Does nothing if it is gone already. */
export async function removeTrace(trace: Trace): Promise<void> {
  switch (trace.kind) {
    case 'folder':
      refuseMounted(trace.path);
      rmSync(trace.path, { recursive: true, force: true });
      return;
    case 'process':
      return stopProcess(trace, trace.graceMs);
    case 'interface':
      if (existsSync(`/sys/class/net/${trace.name}`)) await deleteInterface(trace.name);
      return;
    case 'netns':
      if (existsSync(`/run/netns/${trace.name}`)) await must('ip', ['netns', 'delete', trace.name]);
      return;
    case 'cgroup':
      return waitFor(`the control groups below ${trace.path} to be empty`, () =>
        removeCgroup(trace.path),
      ).then(() => undefined);
    case 'sysctl':
      if (readFileSync(trace.path, 'utf8').trim() !== trace.value) writeFileSync(trace.path, trace.value);
  }
}

/** A veth vanishes with the namespace of its other end, so losing the race to delete it is no failure. */
async function deleteInterface(name: string): Promise<void> {
  const result = await run('ip', ['link', 'delete', name]);
  if (result.code !== 0 && existsSync(`/sys/class/net/${name}`)) {
    throw new Error(`cannot delete the network interface ${name}: ${result.stderr.trim()}`);
  }
}

/** Removing a folder through a mount would delete what is mounted there. */
function refuseMounted(path: string): void {
  if (process.platform !== 'linux') return;
  const mounted = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((point) => point === path || point.startsWith(`${path}/`));
  if (mounted.length > 0) throw new Error(`not removing ${path}: ${mounted.join(', ')} is mounted there`);
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
