import { createDelayMeter } from '@outrider/operator/metrics/event-loop';

/** What a process has used since its start, and how late its event loop was since the last `reset`. */
export interface Usage {
  /** Processor time of all threads, in milliseconds. */
  readonly cpuMs: number;
  /** Resident memory in MB (10^6 bytes). */
  readonly rssMb: number;
  /** Milliseconds; what a timer was late, as the operator's own metric counts it. */
  readonly loopDelayP99: number;
  readonly at: number;
}

export const createMeter = () => {
  const delay = createDelayMeter();
  return {
    usage: (): Usage => {
      const { user, system } = process.cpuUsage();
      return {
        cpuMs: (user + system) / 1000,
        rssMb: process.memoryUsage.rss() / 1e6,
        loopDelayP99: delay.p99(),
        at: performance.timeOrigin + performance.now(),
      };
    },
    reset: delay.reset,
  };
};

/** Share of one core between two looks. */
export const cores = (before: Usage, after: Usage): number =>
  (after.cpuMs - before.cpuMs) / (after.at - before.at);
