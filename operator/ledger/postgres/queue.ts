import type { Call } from './call.ts';
import { busyError } from './failures.ts';
import type { PostgresSettings } from './settings.ts';

/** How often calls that have waited too long are looked for. */
const reapMs = 250;

export interface Queue {
  /** Takes a call in, or refuses it when too many wait. */
  push(call: Call): void;
  /** Puts back, in front, what is to be tried again. Calls whose time is over are refused with this. */
  putBack(calls: readonly Call[], why: Error): void;
  /** The next group, of calls that may share a transaction; undefined once closed and empty. */
  take(): Promise<readonly Call[] | undefined>;
  /** What keeps calls waiting at present, told to those whose time is over; undefined when it is load alone. */
  blame(why: Error | undefined): void;
  /** Closed, and nothing waits. */
  isOver(): boolean;
  /** Takes nothing more in; what waits is still answered. */
  close(): void;
  /** Refuses what waits. */
  drop(why: Error): void;
}

/** One queue for all writers: a call waits for the first of them that is free. */
export const createQueue = (settings: PostgresSettings, what: string): Queue => {
  let waiting: Call[] = [];
  const takers: (() => void)[] = [];
  let blamed: Error | undefined;
  let isClosed = false;

  const waited = `${settings.writers} connections have been at work for ${settings.patienceMs / 1000} s`;
  const reap = (): void => {
    const now = performance.now();
    const late = waiting.filter(({ deadline }) => deadline <= now);
    if (late.length === 0) return;
    waiting = waiting.filter(({ deadline }) => deadline > now);
    for (const call of late) call.reject(blamed ?? busyError(what, waited));
  };
  const reaper = setInterval(reap, reapMs);
  reaper.unref();

  const wake = (): void => takers.shift()?.();

  const nextGroup = (): readonly Call[] => {
    const [first] = waiting;
    if (first?.locks.alone === true) return waiting.splice(0, 1);
    const limit = Math.min(waiting.length, settings.maxGroup);
    const single = waiting.findIndex(({ locks }) => locks.alone === true);
    return waiting.splice(0, single < 0 ? limit : Math.min(limit, single));
  };

  return {
    push: (call) => {
      if (waiting.length >= settings.maxWaiting) {
        call.reject(busyError(what, `${waiting.length} commands wait already`));
        return;
      }
      waiting.push(call);
      wake();
    },
    putBack: (calls, why) => {
      const now = performance.now();
      const [late, again] = [
        calls.filter(({ deadline }) => deadline <= now),
        calls.filter(({ deadline }) => deadline > now),
      ];
      for (const call of late) call.reject(why);
      waiting.unshift(...again);
      if (again.length > 0) wake();
    },
    take: async () => {
      while (waiting.length === 0) {
        if (isClosed) return undefined;
        await new Promise<void>((resolve) => takers.push(resolve));
      }
      const group = nextGroup();
      if (waiting.length > 0) wake();
      return group;
    },
    blame: (why) => {
      blamed = why;
    },
    isOver: () => isClosed && waiting.length === 0,
    close: () => {
      isClosed = true;
      for (const taker of takers.splice(0)) taker();
    },
    drop: (why) => {
      clearInterval(reaper);
      for (const call of waiting.splice(0)) call.reject(why);
    },
  };
};
