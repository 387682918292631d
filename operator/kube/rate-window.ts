/** At most so many in any window of this length. Times are monotonic milliseconds. */
export interface RateWindow {
  /** When the next one may go; not after `now` if it may go now. */
  freeAt(now: number): number;
  take(now: number): void;
}

export const createRateWindow = (most: number, windowMs: number): RateWindow => {
  let taken: number[] = [];
  return {
    freeAt: (now) => {
      const oldest = taken.length < most ? undefined : taken[taken.length - most];
      return oldest === undefined ? now : oldest + windowMs;
    },
    take: (now) => {
      taken.push(now);
      if (taken.length > most * 2) taken = taken.slice(-most);
    },
  };
};
