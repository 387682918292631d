import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Footprint } from './footprint.ts';

/** Mount points of every control group hierarchy: of version 2, of version 1, or of both side by side. */
export function cgroupMounts(mounts: string): string[] {
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type = '']) => type === 'cgroup' || type === 'cgroup2')
    .map(([, point = '']) => point);
}

/** Makes the control group `name` (with a leading slash) in every hierarchy. */
export function createCgroup(footprint: Footprint, name: string): void {
  for (const point of cgroupMounts(readFileSync('/proc/self/mounts', 'utf8'))) {
    const path = join(point, name);
    footprint.add({ kind: 'cgroup', path });
    if (!existsSync(path)) mkdirSync(path);
  }
}
