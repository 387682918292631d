/** Seconds by which this machine's clock may be off before the operator's is used: its answers tell whole seconds only. */
const toleratedMs = 5000;

/**
 * The operator's time, as its answers' Date headers tell it. A proof made by a clock that is minutes off is refused, and with
 * it would be the renewal of leases: a clock that was set wrong must not cost any work.
 */
export interface OperatorClock {
  /** Seconds since the Unix epoch. */
  seconds(): number;
  /** Takes the time from the Date header of an answer that has just come. */
  heard(date: string | undefined): void;
}

export const createOperatorClock = (now: () => number = Date.now): OperatorClock => {
  let offsetMs = 0;
  return {
    seconds: () => Math.floor((now() + offsetMs) / 1000),
    heard: (date) => {
      const at = Date.parse(date ?? '');
      if (Number.isNaN(at)) return;
      const offset = at - now();
      offsetMs = Math.abs(offset) <= toleratedMs ? 0 : offset;
    },
  };
};
