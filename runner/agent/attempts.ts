import { attemptKey, type AttemptRef, type TaskSpec } from '@outrider/protocol';
import type { StopReason } from '@outrider/nodes/contract';
import type { Journal } from '../journal/contract.ts';
import type { Logger } from './log.ts';
import { createWakeup, type Wakeup } from './waits.ts';

/**
 * `LeaseLost`: under `onLost: Retry` the operator may soon give the task to another runner. `HandedOver`: it goes on without
 * this process, and the next one takes it up.
 */
export type AttemptStop = StopReason | 'LeaseLost' | 'HandedOver';

/**
 *   Accepting ──200──▶ Starting ──`started` fsynced──▶ Running ──▶ Finished ──result and log acknowledged──▶ (gone)
 *       │ refused          │ stopped, draining: released
 *       ▼                  ▼
 *     (gone)             (gone)
 */
export type Phase = 'Accepting' | 'Starting' | 'Running' | 'Finished';

/** One attempt that this process has taken on. */
export interface Attempt {
  readonly ref: AttemptRef;
  readonly key: string;
  readonly spec: TaskSpec;
  /** When its offer arrived (performance.now). */
  readonly arrivedAt: number;
  /** Aborts with an AttemptStop. */
  readonly stop: AbortController;
  phase: Phase;
  /** When the last renewal of its lease was sent that the operator has acknowledged; milliseconds of `Leases.now`. */
  renewedAt: number | undefined;
  resultAcknowledged: boolean;
  /** Bytes of framed log that the operator holds. */
  logOffset: number;
  /** Known once the log is sealed. */
  logLength: number | undefined;
  /** The operator refuses more of this log. */
  logRefused: boolean;
}

export interface Attempts {
  get(ref: AttemptRef): Attempt | undefined;
  all(): readonly Attempt[];
  /** Undefined when the attempt is there already. */
  add(ref: AttemptRef, spec: TaskSpec, phase: Phase): Attempt | undefined;
  enter(attempt: Attempt, phase: Phase): void;
  remove(attempt: Attempt): void;
  /** Accepted by the operator and without an acknowledged result: what a poll renews the leases of. */
  held(): AttemptRef[];
  /** Slots in use. */
  readonly load: number;
  readonly free: number;
  /** Forgets an attempt whose result and log the operator has, and says so to the journal. */
  settle(attempt: Attempt): Promise<void>;
  /** True once `condition` holds (looked at on every change here, and every 200 ms); false after `milliseconds` or when `signal` aborts. */
  until(condition: () => boolean, options: { milliseconds: number; signal: AbortSignal }): Promise<boolean>;
}

export const stopReason = (attempt: Attempt): AttemptStop | undefined =>
  attempt.stop.signal.aborted ? (attempt.stop.signal.reason as AttemptStop) : undefined;

const occupiesSlot = (attempt: Attempt): boolean => attempt.phase !== 'Finished';

const isSettled = (attempt: Attempt): boolean =>
  attempt.resultAcknowledged &&
  (attempt.logRefused || (attempt.logLength !== undefined && attempt.logOffset >= attempt.logLength));

export const createAttempts = (options: {
  capacity: number;
  journal: Pick<Journal, 'acknowledged'>;
  logger: Logger;
}): Attempts => {
  const { capacity, journal, logger } = options;
  const table = new Map<string, Attempt>();
  const waiters = new Set<Wakeup>();
  let load = 0;
  const changed = (): void => {
    load = 0;
    for (const attempt of table.values()) if (occupiesSlot(attempt)) load += 1;
    for (const waiter of waiters) waiter.wake();
  };

  const remove = (attempt: Attempt): void => {
    table.delete(attempt.key);
    changed();
  };

  return {
    get: (ref) => table.get(attemptKey(ref)),
    all: () => [...table.values()],
    add: (ref, spec, phase) => {
      const key = attemptKey(ref);
      if (table.has(key)) return undefined;
      const attempt: Attempt = {
        ref: { task: ref.task, epoch: ref.epoch },
        key,
        spec,
        arrivedAt: performance.now(),
        stop: new AbortController(),
        phase,
        renewedAt: undefined,
        resultAcknowledged: false,
        logOffset: 0,
        logLength: undefined,
        logRefused: false,
      };
      table.set(key, attempt);
      changed();
      return attempt;
    },
    enter: (attempt, phase) => {
      attempt.phase = phase;
      changed();
    },
    remove,
    held: () =>
      [...table.values()]
        .filter((attempt) => attempt.phase !== 'Accepting' && !attempt.resultAcknowledged)
        .map((attempt) => attempt.ref),
    get load() {
      return load;
    },
    get free() {
      return Math.max(0, capacity - load);
    },
    settle: async (attempt) => {
      if (!isSettled(attempt) || !table.has(attempt.key)) return;
      remove(attempt);
      // A refused log stays in the journal: it is the only whole copy.
      if (attempt.logRefused) return;
      await journal.acknowledged(attempt.ref).catch((error: unknown) => {
        logger.warn('could not mark an attempt as acknowledged; it will be reported again', {
          attempt: attempt.key,
          reason: String(error),
        });
      });
    },
    until: async (condition, { milliseconds, signal }) => {
      const deadline = performance.now() + milliseconds;
      const waiter = createWakeup();
      waiters.add(waiter);
      try {
        while (!condition()) {
          const rest = deadline - performance.now();
          if (rest <= 0 || signal.aborted) return false;
          await waiter.wait(signal, Math.min(rest, 200));
        }
        return true;
      } finally {
        waiters.delete(waiter);
      }
    },
  };
};
