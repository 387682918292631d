import type { Footprint } from '../../servers/footprint.ts';
import type { Launcher } from './program.ts';

/** What every part of the bench is given. */
export interface Bench {
  readonly footprint: Footprint;
  readonly launcher: Launcher;
  /** 1 for the figures of the goals; less for a look while developing. */
  readonly scale: number;
}
