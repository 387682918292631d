import type { Cache, KubeObject, WorkQueue } from './contract.ts';
import type { Logger } from './logger.ts';
import { createWorkQueue, objectKey, queueKey } from './work-queue.ts';

export interface ControllerOptions<T extends KubeObject> {
  /** For the log. */
  readonly name: string;
  readonly logger: Logger;
  readonly cache: Cache<T>;
  /** Also read by `reconcile`: nothing is reconciled before they have synced. */
  readonly reads?: readonly Pick<Cache<KubeObject>, 'synced'>[];
  /** Brings one object to where it should be. A failure is logged and retried with back-off. */
  readonly reconcile: (object: T, queue: WorkQueue) => Promise<void>;
  /** Says what else makes an object worth another look; returns how to stop. */
  readonly watch?: (queue: WorkQueue) => readonly (() => void)[];
}

export interface Controller {
  readonly queue: WorkQueue;
  /** Takes no more keys and waits for those in work. */
  stop(): Promise<void>;
}

/** A reconciler over one cache: every object once the caches have synced, and each one again when it changes. */
export const startController = <T extends KubeObject>(options: ControllerOptions<T>): Controller => {
  const { name, logger, cache, reads = [], reconcile, watch } = options;
  const queue = createWorkQueue({
    reconcile: async (key) => {
      const { namespace, name: objectName } = objectKey(key);
      const object = cache.get(namespace, objectName);
      if (object !== undefined && object.metadata.deletionTimestamp === undefined)
        await reconcile(object, queue);
    },
    onError: (key, error) =>
      logger.warn({ err: error, controller: name, key }, 'could not reconcile; trying again'),
  });
  const unsubscribe: (() => void)[] = [];

  const begin = async (): Promise<void> => {
    await Promise.all([cache.synced, ...reads.map((read) => read.synced)]);
    unsubscribe.push(
      cache.onChange((key) => queue.add(queueKey(key))),
      ...(watch?.(queue) ?? []),
    );
    for (const object of cache.list()) queue.add(keyOf(object));
  };
  // A cache that is stopped before its first list rejects; then there is nothing to do.
  begin().catch((error: unknown) =>
    logger.debug({ err: error, controller: name }, 'stopped before its caches had synced'),
  );

  return {
    queue,
    stop: () => {
      for (const end of unsubscribe) end();
      return queue.stop();
    },
  };
};

export const keyOf = ({ metadata }: KubeObject): string =>
  queueKey({ namespace: metadata.namespace ?? '', name: metadata.name });

/** Calls back when an object comes, goes or is replaced, but not when it changes. */
export const onExistence = (
  cache: Pick<Cache<KubeObject>, 'onChange'>,
  listener: (namespace: string) => void,
): (() => void) =>
  cache.onChange((key, now, before) => {
    if (now === undefined || before === undefined) listener(key.namespace);
  });
