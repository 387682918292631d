/** How far the monotonic clock may run from the wall clock before it is set again. */
const toleranceMs = 2;

/** The wall clock in microseconds: between its own whole milliseconds the monotonic clock tells. */
export const createMicrosecondClock = (): (() => number) => {
  let offset = Date.now() - performance.now();
  return () => {
    const wall = Date.now();
    let precise = offset + performance.now();
    if (Math.abs(precise - wall) > toleranceMs) {
      offset = wall - performance.now();
      precise = wall;
    }
    return Math.round(precise * 1000);
  };
};

/** RFC 3339, UTC, milliseconds. */
export const instantOf = (ms: number): string => new Date(ms).toISOString();
