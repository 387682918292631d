/** Resolves after `milliseconds`, or at once when `signal` aborts; never rejects. */
export const sleep = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener('abort', end);
  });

export interface Backoff {
  /** Milliseconds to wait before the next try. */
  next(): number;
  reset(): void;
}

/** Exponential back-off with full jitter: a random time below a ceiling that doubles from `min` to `max`. */
export const createBackoff = (
  options: { min?: number; max?: number; random?: () => number } = {},
): Backoff => {
  const { min = 100, max = 10_000, random = Math.random } = options;
  let ceiling = min;
  return {
    next: () => {
      const delay = random() * ceiling;
      ceiling = Math.min(max, ceiling * 2);
      return delay;
    },
    reset: () => {
      ceiling = min;
    },
  };
};

export interface Wakeup {
  wake(): void;
  /** Resolves when woken (also when that happened since the last wait), after `milliseconds`, or when `signal` aborts. */
  wait(signal: AbortSignal, milliseconds?: number): Promise<void>;
}

/** Lets one loop sleep until somebody has work for it; a wake before the wait is not lost. */
export const createWakeup = (): Wakeup => {
  let woken = false;
  let notify: (() => void) | undefined;
  return {
    wake: () => {
      woken = true;
      notify?.();
    },
    wait: (signal, milliseconds) =>
      new Promise((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          signal.removeEventListener('abort', end);
          notify = undefined;
          woken = false;
          resolve();
        };
        const timer = milliseconds === undefined ? undefined : setTimeout(end, milliseconds);
        signal.addEventListener('abort', end);
        notify = end;
        if (woken || signal.aborted) end();
      }),
  };
};
