import { monitorEventLoopDelay } from 'node:perf_hooks';

const resolutionMs = 10;

/**
 * How late timers were since the start or the last `reset`. Node's histogram holds what lies between two of its ticks, which
 * is the resolution even when nothing is late: 10.2 ms in an idle process (open-telemetry/opentelemetry-js-contrib#2794).
 * So the resolution is taken off.
 */
export const createDelayMeter = () => {
  const ticks = monitorEventLoopDelay({ resolution: resolutionMs });
  ticks.enable();
  return {
    /** 99th percentile, in milliseconds. */
    p99: (): number => Math.max(0, ticks.percentile(99) / 1e6 - resolutionMs),
    reset: (): void => ticks.reset(),
    stop: (): void => void ticks.disable(),
  };
};
