import { backOffMs, pause } from './back-off.ts';
import type { KubeClient, StatusWriter } from './contract.ts';
import { isConflict, isKubeError, isNotFound, isRetryable } from './kube-error.ts';
import type { Logger } from './logger.ts';
import { mergePatchBetween, plainJson, sameJson } from './merge-patch.ts';
import { createRateWindow } from './rate-window.ts';
import { knownStatus, newStatusEntry, seen, type StatusEntry, type WithStatus } from './status-entry.ts';

export interface StatusWriterOptions {
  readonly client: Pick<KubeClient, 'get' | 'patch'>;
  readonly logger: Logger;
}

/** Between two writes of one object. */
const objectIntervalMs = 1000;
/** The same for changes of phase, which are few by nature: `kubectl wait` must not wait for the pace of what is less. */
const urgentIntervalMs = 100;
/** What is not urgent waits this long for more: a short step is queued, running and done in one write. */
const coalesceMs = 250;
/** What is urgent waits only for what follows at once. */
const urgentMs = 10;
const writesPerSecond = 20;
const concurrentWrites = 8;
/** How long what was written is remembered; the cache has it by then, and the interval is over. */
const memoryMs = 60_000;
/** Between two looks for what can be forgotten. */
const sweepMs = 1000;
/** Back-off on 5xx, 429, conflicts and no answer. */
const retry = { firstMs: 250, longestMs: 30_000 };
/** An API server that is down must not hold up the end of the process. */
const stopMs = 5000;

/**
 * Keeps what is wanted per object (by uid) and writes the difference to what is known, under the resourceVersion that it
 * was computed from: so nothing is lost to a stale cache, and no other object of the same name inherits a status.
 */
export const createStatusWriter = ({ client, logger }: StatusWriterOptions): StatusWriter => {
  const entries = new Map<string, StatusEntry>();
  /** Those of them that want a write: thousands when many runners come at once. */
  const pending = new Set<StatusEntry>();
  const window = createRateWindow(writesPerSecond, 1000);
  let waiters: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let timerAt = Infinity;
  let sweptAt = -Infinity;
  let inFlight = 0;
  let scheduled = false;
  let stopped = false;

  const want: StatusWriter['want'] = (type, object, status, { urgent = false } = {}) => {
    if (stopped) return;
    const entry = entries.get(object.metadata.uid) ?? newStatusEntry(type, object);
    entries.set(object.metadata.uid, entry);
    seen(entry, object);
    const wanted = plainJson(status);
    // While a write is on its way its outcome is not known: whatever is wanted now is compared again after it.
    if (!entry.busy && sameJson(wanted, knownStatus(entry).asked)) entry.wanted = undefined;
    else setWanted(entry, wanted, urgent);
    note(entry);
    // A timer that comes no later looks at all of them.
    if (timerAt > Math.max(entry.dueAt, window.freeAt(performance.now()))) schedule();
  };

  const note = (entry: StatusEntry): void => {
    if (entry.wanted === undefined) pending.delete(entry);
    else pending.add(entry);
  };

  /** Once per turn, however many were wanted in it. */
  const schedule = (): void => {
    if (scheduled) return;
    scheduled = true;
    queueMicrotask(() => {
      scheduled = false;
      arm();
    });
  };

  const arm = (): void => {
    clearTimeout(timer);
    timerAt = Infinity;
    const now = performance.now();
    if (inFlight >= concurrentWrites) return settle(now);
    let dueAt = Infinity;
    for (const entry of pending) if (!entry.busy) dueAt = Math.min(dueAt, entry.dueAt);
    if (dueAt === Infinity) return settle(now);
    timerAt = Math.max(dueAt, window.freeAt(now));
    timer = setTimeout(pump, Math.max(0, timerAt - now));
  };

  /** Phases first, then who has waited longest; nobody beyond the rate. */
  const next = (now: number): StatusEntry | undefined => {
    if (inFlight >= concurrentWrites || window.freeAt(now) > now) return undefined;
    let first: StatusEntry | undefined;
    for (const entry of pending) {
      if (entry.busy || entry.dueAt > now) continue;
      if (first === undefined || goesBefore(entry, first)) first = entry;
    }
    return first;
  };

  const pump = (): void => {
    const now = performance.now();
    for (let entry = next(now); entry !== undefined; entry = next(now)) {
      window.take(now);
      void write(entry);
    }
    arm();
  };

  const settle = (now: number): void => {
    if (now - sweptAt > sweepMs) sweep(now);
    if (inFlight > 0 || pending.size > 0) return;
    for (const waiter of waiters) waiter();
    waiters = [];
  };

  const sweep = (now: number): void => {
    sweptAt = now;
    for (const [uid, entry] of entries)
      if (entry.wanted === undefined && !entry.busy && now - entry.writtenAt > memoryMs) entries.delete(uid);
  };

  /** Never rejects. */
  const write = async (entry: StatusEntry): Promise<void> => {
    const { wanted: asked, urgent } = entry;
    entry.wanted = undefined;
    entry.urgent = false;
    entry.busy = true;
    note(entry);
    inFlight++;
    try {
      await send(entry, asked);
      entry.failures = 0;
    } catch (error) {
      await failed(entry, { asked, urgent }, error);
    }
    entry.busy = false;
    inFlight--;
    if (entry.wanted !== undefined && sameJson(entry.wanted, knownStatus(entry).asked))
      entry.wanted = undefined;
    note(entry);
    schedule();
  };

  const send = async (entry: StatusEntry, asked: unknown): Promise<void> => {
    const known = knownStatus(entry);
    const status = mergePatchBetween(known.status, asked);
    if (status === undefined) return;
    entry.writtenAt = performance.now();
    const body = { metadata: { resourceVersion: known.version }, status };
    const now = await client.patch<WithStatus>(entry.type, refOf(entry), { body, subresource: 'status' });
    entry.written = { asked, status: plainJson(now.status ?? {}), version: now.metadata.resourceVersion };
    if (entry.wanted !== undefined) entry.dueAt = Math.max(entry.dueAt, nextWriteAt(entry, entry.urgent));
  };

  const failed = async (
    entry: StatusEntry,
    { asked, urgent }: { asked: unknown; urgent: boolean },
    error: unknown,
  ): Promise<void> => {
    const about = { err: error, kind: entry.type.kind, ...refOf(entry) };
    if (isNotFound(error) || (isConflict(error) && !(await refresh(entry)))) {
      entry.failures = 0;
      entry.wanted = undefined;
      return logger.debug(about, 'the object of a status is gone');
    }
    if (!isRetryable(error)) {
      entry.failures = 0;
      return logger.error(about, 'the API server refused a status');
    }
    const wait =
      isConflict(error) && entry.failures === 0
        ? 0
        : Math.max(backOffMs(entry.failures + 1, retry), retryAfterMs(error));
    entry.failures++;
    entry.dueAt = performance.now() + wait;
    entry.urgent ||= urgent;
    entry.wanted ??= asked;
    if (wait > 0)
      logger.warn({ ...about, retryMs: Math.round(wait) }, 'could not write a status; trying again');
  };

  /** False if the object is gone or another one has its name. */
  const refresh = async (entry: StatusEntry): Promise<boolean> => {
    try {
      const now = await client.get(entry.type, refOf(entry));
      if (now?.metadata.uid !== entry.object.metadata.uid) return false;
      seen(entry, now);
    } catch (error) {
      logger.debug(
        { err: error, kind: entry.type.kind, ...refOf(entry) },
        'could not read the object of a status',
      );
    }
    return true;
  };

  const flush = (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    waiters.push(resolve);
    schedule();
    return promise;
  };

  return {
    want,
    flush,
    stop: async () => {
      // The last word counts more than the pace of one object; the overall rate stays.
      for (const entry of entries.values()) entry.dueAt = 0;
      const given = new AbortController();
      await Promise.race([flush(), pause(stopMs, given.signal)]);
      given.abort();
      stopped = true;
      clearTimeout(timer);
      const left = pending.size;
      if (left > 0) logger.warn({ left }, 'stopped before every status was written');
      entries.clear();
      pending.clear();
    },
  };
};

const goesBefore = (one: StatusEntry, other: StatusEntry): boolean =>
  one.urgent === other.urgent ? one.dueAt < other.dueAt : one.urgent;

const nextWriteAt = ({ writtenAt }: StatusEntry, urgent: boolean): number =>
  writtenAt + (urgent ? urgentIntervalMs : objectIntervalMs);

const setWanted = (entry: StatusEntry, wanted: unknown, urgent: boolean): void => {
  const now = performance.now();
  const latest = now + (urgent ? urgentMs : coalesceMs);
  const first = entry.wanted === undefined;
  // A back-off that is under way is kept; so is the time of an earlier wish.
  if (entry.failures === 0) {
    const soonest = first ? latest : Math.min(entry.dueAt, latest);
    entry.dueAt = Math.max(soonest, nextWriteAt(entry, urgent || (!first && entry.urgent)));
  }
  entry.urgent = urgent || (!first && entry.urgent);
  entry.wanted = wanted;
};

const refOf = ({ object }: StatusEntry): { namespace?: string; name: string } => {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? { name } : { namespace, name };
};

const retryAfterMs = (error: unknown): number => (isKubeError(error) ? (error.retryAfter ?? 0) * 1000 : 0);
