import type { ObjectKey, WorkQueue } from './contract.ts';

export interface WorkQueueOptions {
  /** Brings the thing of this key to where it should be. What it throws is retried with back-off. */
  readonly reconcile: (key: string) => Promise<void>;
  readonly onError: (key: string, error: unknown) => void;
  /** Keys in work at a time. @default 4 */
  readonly concurrency?: number;
}

/** Back-off per key: 5 ms doubling to 5 min. */
const firstRetryMs = 5;
const longestRetryMs = 300_000;

/** The text form of an object's key; namespaces and names have no slash. */
export const queueKey = ({ namespace, name }: ObjectKey): string => `${namespace}/${name}`;

export const objectKey = (key: string): ObjectKey => {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
};

/** A key that is added while it is in work runs once more afterwards; one that waits already is not added twice. */
export const createWorkQueue = ({ reconcile, onError, concurrency = 4 }: WorkQueueOptions): WorkQueue => {
  const waiting = new Set<string>();
  const working = new Set<string>();
  const again = new Set<string>();
  const later = new Map<string, { readonly at: number; readonly timer: NodeJS.Timeout }>();
  const failures = new Map<string, number>();
  const idle = Promise.withResolvers<void>();
  let stopped = false;

  const work = async (key: string): Promise<void> => {
    try {
      await reconcile(key);
      failures.delete(key);
    } catch (error) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      onError(key, error);
      addAfter(key, Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(count - 1, 20)));
    }
    working.delete(key);
    if (again.delete(key)) waiting.add(key);
    pump();
  };

  const pump = (): void => {
    if (stopped) {
      if (working.size === 0) idle.resolve();
      return;
    }
    for (const key of waiting) {
      if (working.size >= concurrency) return;
      waiting.delete(key);
      working.add(key);
      void work(key);
    }
  };

  const add = (key: string): void => {
    if (stopped) return;
    if (working.has(key)) again.add(key);
    else waiting.add(key);
    queueMicrotask(pump);
  };

  /** The earlier of two times counts. */
  const addAfter = (key: string, milliseconds: number): void => {
    if (stopped) return;
    const at = performance.now() + milliseconds;
    const known = later.get(key);
    if (known !== undefined && known.at <= at) return;
    clearTimeout(known?.timer);
    const due = (): void => {
      later.delete(key);
      add(key);
    };
    later.set(key, { at, timer: setTimeout(due, Math.max(0, milliseconds)).unref() });
  };

  return {
    add,
    addAfter,
    stop: () => {
      stopped = true;
      waiting.clear();
      again.clear();
      for (const { timer } of later.values()) clearTimeout(timer);
      later.clear();
      pump();
      return idle.promise;
    },
  };
};
