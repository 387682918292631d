import type { KubeClient, KubeObject, ResourceType, StatusWriter } from './contract.ts';
import { backOffMs, pause } from './back-off.ts';
import { isKubeError, isRetryable } from './kube-error.ts';
import type { Logger } from './logger.ts';
import { mergePatchBetween, plainJson, sameJson } from './merge-patch.ts';
import { createRateWindow } from './rate-window.ts';

export interface StatusWriterOptions {
  readonly client: Pick<KubeClient, 'patch'>;
  readonly logger: Logger;
}

/** Between two writes of one object. */
const objectIntervalMs = 1000;
/** What is not urgent waits this long for more: a short step is queued, running and done in one write. */
const coalesceMs = 250;
const writesPerSecond = 20;
const concurrentWrites = 8;
/** How long what was written is remembered; the cache has it by then, and the interval is over. */
const memoryMs = 60_000;
/** An API server that is down must not hold up the end of the process. */
const stopMs = 5000;
/** Back-off on 5xx, 429 and no answer. */
const retry = { firstMs: 250, longestMs: 30_000 };

/** One object's status. Times are monotonic milliseconds. */
interface Entry {
  readonly type: ResourceType;
  /** As the caller's cache last had it. */
  object: KubeObject;
  /** Undefined: nothing to do. */
  wanted: unknown;
  urgent: boolean;
  dueAt: number;
  /** What the last write asked for, what the API server made of it, and its resourceVersion. */
  written: { readonly asked: unknown; readonly status: unknown; readonly version: string } | undefined;
  writtenAt: number;
  failures: number;
  busy: boolean;
}

type WithStatus = KubeObject & { readonly status?: unknown };

/** resourceVersions of one resource are comparable numbers. */
const isOlder = (version: string, than: string): boolean => BigInt(version) < BigInt(than);

/** What the API server is known to hold: the newer of the cache's and our own last write. */
const known = ({ object, written }: Entry): { asked: unknown; status: unknown } => {
  if (written !== undefined && !isOlder(written.version, object.metadata.resourceVersion)) return written;
  const status = plainJson((object as WithStatus).status ?? {});
  return { asked: status, status };
};

export const createStatusWriter = ({ client, logger }: StatusWriterOptions): StatusWriter => {
  const entries = new Map<string, Entry>();
  const window = createRateWindow(writesPerSecond, 1000);
  let waiters: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let inFlight = 0;
  let flushing = false;

  const entryFor = (type: ResourceType, object: KubeObject): Entry => {
    const { uid } = object.metadata;
    const entry = entries.get(uid) ?? {
      type,
      object,
      wanted: undefined,
      urgent: false,
      dueAt: 0,
      written: undefined,
      writtenAt: -Infinity,
      failures: 0,
      busy: false,
    };
    entries.set(uid, entry);
    if (!isOlder(object.metadata.resourceVersion, entry.object.metadata.resourceVersion))
      entry.object = object;
    return entry;
  };

  const want: StatusWriter['want'] = (type, object, status, { urgent = false } = {}) => {
    const entry = entryFor(type, object);
    const wanted = plainJson(status);
    // While a write is on its way its outcome is not known: whatever is wanted now is compared again after it.
    if (!entry.busy && sameJson(wanted, known(entry).asked)) entry.wanted = undefined;
    else {
      const now = performance.now();
      const soonest = urgent ? now : entry.wanted === undefined ? now + coalesceMs : entry.dueAt;
      entry.dueAt =
        entry.failures > 0
          ? entry.dueAt
          : Math.max(Math.min(soonest, now + coalesceMs), entry.writtenAt + objectIntervalMs);
      entry.urgent = urgent || (entry.wanted !== undefined && entry.urgent);
      entry.wanted = wanted;
    }
    schedule();
  };

  const pending = (): Entry[] => [...entries.values()].filter((entry) => entry.wanted !== undefined);

  /** Phases first, then who has waited longest. */
  const next = (now: number): Entry | undefined => {
    const ready = pending().filter((entry) => !entry.busy && entry.dueAt <= now);
    return ready.toSorted((a, b) => Number(b.urgent) - Number(a.urgent) || a.dueAt - b.dueAt)[0];
  };

  const schedule = (): void => {
    clearTimeout(timer);
    const now = performance.now();
    const idle = pending().filter((entry) => !entry.busy);
    if (idle.length === 0 || inFlight >= concurrentWrites) return settle();
    const due = Math.max(Math.min(...idle.map((entry) => entry.dueAt)), window.freeAt(now));
    timer = setTimeout(pump, Math.max(0, due - now));
  };

  const pump = (): void => {
    for (;;) {
      const now = performance.now();
      const entry = inFlight < concurrentWrites && window.freeAt(now) <= now ? next(now) : undefined;
      if (entry === undefined) break;
      window.take(now);
      void write(entry);
    }
    schedule();
  };

  const settle = (): void => {
    const now = performance.now();
    for (const [uid, entry] of entries) {
      if (entry.wanted === undefined && !entry.busy && now - entry.writtenAt > memoryMs) entries.delete(uid);
    }
    if (pending().length > 0 || inFlight > 0) return;
    for (const waiter of waiters) waiter();
    waiters = [];
  };

  const write = async (entry: Entry): Promise<void> => {
    const asked = entry.wanted;
    const change = mergePatchBetween(known(entry).status, asked);
    entry.wanted = undefined;
    entry.urgent = false;
    entry.busy = true;
    inFlight++;
    try {
      if (change !== undefined) await send(entry, asked, change);
    } catch (error) {
      failed(entry, asked, error);
    }
    entry.busy = false;
    inFlight--;
    if (entry.wanted !== undefined && sameJson(entry.wanted, known(entry).asked)) entry.wanted = undefined;
    schedule();
  };

  const send = async (entry: Entry, asked: unknown, change: unknown): Promise<void> => {
    const { namespace, name, uid } = entry.object.metadata;
    entry.writtenAt = performance.now();
    // The uid is a precondition: another object that took over the name must not inherit this status.
    const body = { metadata: { uid }, status: change };
    const ref = namespace === undefined ? { name } : { namespace, name };
    const now = await client.patch<WithStatus>(entry.type, ref, { body, subresource: 'status' });
    entry.failures = 0;
    entry.written = { asked, status: plainJson(now.status ?? {}), version: now.metadata.resourceVersion };
    if (entry.wanted !== undefined) entry.dueAt = Math.max(entry.dueAt, entry.writtenAt + objectIntervalMs);
  };

  const failed = (entry: Entry, asked: unknown, error: unknown): void => {
    const { namespace, name } = entry.object.metadata;
    const about = { err: error, kind: entry.type.kind, namespace, name };
    if (!isRetryable(error) || isGone(error)) {
      entry.failures = 0;
      if (isGone(error)) logger.debug(about, 'the object of a status is gone');
      else logger.error(about, 'the API server refused a status');
      return;
    }
    entry.failures++;
    const wait = Math.max(
      backOffMs(entry.failures, retry),
      retryAfterMs(error),
      flushing ? 0 : objectIntervalMs,
    );
    entry.dueAt = performance.now() + wait;
    entry.wanted ??= asked;
    logger.warn({ ...about, retryMs: Math.round(wait) }, 'could not write a status; trying again');
  };

  const flush = (): Promise<void> => {
    if (pending().length === 0 && inFlight === 0) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    waiters.push(resolve);
    return promise;
  };

  return {
    want,
    flush,
    stop: async () => {
      // The last word counts more than the pace of one object; the overall rate stays.
      flushing = true;
      for (const entry of entries.values()) entry.dueAt = 0;
      schedule();
      const given = new AbortController();
      await Promise.race([flush(), pause(stopMs, given.signal)]);
      given.abort();
      clearTimeout(timer);
      const left = pending().length;
      if (left > 0) logger.warn({ left }, 'stopped before every status was written');
      entries.clear();
    },
  };
};

const retryAfterMs = (error: unknown): number => (isKubeError(error) ? (error.retryAfter ?? 0) * 1000 : 0);

/** Deleted, or replaced by another object of the same name. */
const isGone = (error: unknown): boolean =>
  isKubeError(error) && (error.status === 404 || (error.status === 409 && /\bUID\b/i.test(error.message)));
