import type { Settings } from '@outrider/protocol';

/** The operator's times, as its last session or poll said them. */
export interface OperatorSettings {
  readonly current: Settings;
  apply(settings: Settings | undefined): void;
  /** Longest time without a byte of a poll's answer: three times the longest pause of a healthy operator. */
  readonly pollSilenceMs: number;
}

/** In force until the first session tells. */
const beforeSession: Settings = { pollMs: 20_000, leaseMs: 90_000, killGraceMs: 30_000 };

/** A held poll sends a byte this often; one that is shorter is answered after its time and a tenth. */
const keepaliveMs = 5000;

export const createOperatorSettings = (): OperatorSettings => {
  let current = beforeSession;
  return {
    get current() {
      return current;
    },
    apply: (settings) => {
      current = settings ?? current;
    },
    get pollSilenceMs() {
      return 3 * Math.min(keepaliveMs, Math.max(1000, current.pollMs * 1.1));
    },
  };
};
