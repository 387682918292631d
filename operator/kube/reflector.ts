import { backOffMs, pause } from './back-off.ts';
import { createCacheStore, type CacheStore } from './cache-store.ts';
import { watchPath } from './client.ts';
import type { Cache, KubeClient, KubeObject, ResourceType } from './contract.ts';
import { isExpired, watchFailure } from './kube-error.ts';
import { listPages, withoutManagedFields } from './list-pages.ts';

export interface ReflectorOptions {
  readonly client: KubeClient;
  readonly type: ResourceType;
  /** @default all namespaces */
  readonly namespace?: string;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told of every failure, which is then retried; also of listeners that throw. */
  readonly onError: (error: unknown) => void;
  /** A watch that has been silent for so long, in milliseconds, is reopened: bookmarks come every minute. @default 150,000 */
  readonly silentMs?: number;
}

/** A connection that lasted so long counts as healthy: back-off starts from the beginning. */
const healthyMs = 60_000;
/** Watches end by themselves after 5 to 10 minutes, so that load spreads over API servers. */
const watchSeconds = 300;

/**
 * Mirrors all objects of a type: lists page by page, then watches with bookmarks from there; reopens a watch that ends or
 * fails with back-off (100 ms to 30 s), and lists again when the API server no longer has the history (410).
 */
export const createReflector = <T extends KubeObject>(options: ReflectorOptions): Cache<T> => {
  const { signal, onError } = options;
  const store = createCacheStore<T>(onError);
  const synced = Promise.withResolvers<void>();
  // Nobody may be waiting when it is stopped before its first list.
  synced.promise.catch(() => {});
  signal.addEventListener('abort', () => synced.reject(signal.reason), { once: true });

  const list = async (): Promise<string> => {
    const { client, type, namespace } = options;
    const listing = await listPages<T>(client, type, { namespace, signal });
    store.replace(listing.items);
    synced.resolve();
    return listing.resourceVersion;
  };

  const run = async (): Promise<void> => {
    let version: string | undefined;
    let failures = 0;
    while (!signal.aborted) {
      const begun = performance.now();
      try {
        version ??= await list();
        const end = await follow(options, store, version);
        version = end.version;
        if (end.silent || performance.now() - begun > 1000) failures = 0;
        else await pause(backOffMs(++failures), signal);
      } catch (error) {
        if (signal.aborted) return;
        if (performance.now() - begun > healthyMs) failures = 0;
        version = isExpired(error) ? undefined : lastVersion(error, version);
        onError(error instanceof WatchBroken ? error.cause : error);
        await pause(backOffMs(++failures), signal);
      }
    }
  };
  // Deferred, so that listeners that are added at once hear of the first list. It never rejects.
  queueMicrotask(() => void run());

  return { synced: synced.promise, get: store.get, list: store.list, onChange: store.onChange };
};

/** Carries how far a watch had come when it broke. */
class WatchBroken extends Error {
  readonly version: string;
  constructor(version: string, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.version = version;
  }
}

const lastVersion = (error: unknown, before: string | undefined): string | undefined =>
  error instanceof WatchBroken ? error.version : before;

interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  /** A metav1.Status if the type is ERROR. */
  readonly object: T;
}

type Writable<T extends KubeObject> = Pick<CacheStore<T>, 'set' | 'remove'>;

/** The resourceVersion that the store is at after this line. */
const applyEvent = <T extends KubeObject>(
  store: Writable<T>,
  type: ResourceType,
  event: WatchEvent<T>,
): string => {
  if (event.type === 'ERROR') throw watchFailure(`watch of ${type.plural}`, event.object);
  if (event.type === 'DELETED') store.remove(event.object);
  else if (event.type !== 'BOOKMARK') store.set(withoutManagedFields(event.object, type));
  return event.object.metadata.resourceVersion;
};

/** One watch until the server ends it or it falls silent; the version to go on from. */
const follow = async <T extends KubeObject>(
  options: ReflectorOptions,
  store: Writable<T>,
  from: string,
): Promise<{ version: string; silent: boolean }> => {
  const { client, type, namespace, signal, silentMs = 150_000 } = options;
  const timeoutSeconds = Math.round(watchSeconds * (1 + Math.random()));
  const path = watchPath(type, { namespace, resourceVersion: from, timeoutSeconds });
  const silence = new AbortController();
  const timer = setTimeout(() => silence.abort(), silentMs);
  let version = from;
  try {
    for await (const line of client.watch(path, AbortSignal.any([signal, silence.signal]))) {
      timer.refresh();
      version = applyEvent(store, type, line as WatchEvent<T>);
    }
    return { version, silent: false };
  } catch (error) {
    if (silence.signal.aborted && !signal.aborted) return { version, silent: true };
    throw isExpired(error) ? error : new WatchBroken(version, error);
  } finally {
    clearTimeout(timer);
  }
};
