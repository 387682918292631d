import type { Cache, KubeObject, ObjectKey } from './contract.ts';

type Listener<T> = (key: ObjectKey, now: T | undefined, before: T | undefined) => void;

/** Both sides of a cache: what the reflector writes and what everybody reads. */
export interface CacheStore<T extends KubeObject> extends Omit<Cache<T>, 'synced'> {
  set(object: T): void;
  remove(object: KubeObject): void;
  /** Everything there is now: what is missing is removed, what has another resourceVersion or uid is a change. */
  replace(objects: readonly T[]): void;
}

const keyOf = (object: KubeObject): ObjectKey => ({
  namespace: object.metadata.namespace ?? '',
  name: object.metadata.name,
});

/** `onError` is told of listeners that throw; the others still hear of the change. */
export const createCacheStore = <T extends KubeObject>(onError: (error: unknown) => void): CacheStore<T> => {
  const byNamespace = new Map<string, Map<string, T>>();
  const listeners = new Set<Listener<T>>();

  const notify = (key: ObjectKey, now: T | undefined, before: T | undefined): void => {
    for (const listener of listeners) {
      try {
        listener(key, now, before);
      } catch (error) {
        onError(error);
      }
    }
  };

  const get = (namespace: string, name: string): T | undefined => byNamespace.get(namespace)?.get(name);

  const list = (namespace?: string): readonly T[] => {
    if (namespace !== undefined) return [...(byNamespace.get(namespace)?.values() ?? [])];
    return [...byNamespace.values()].flatMap((objects) => [...objects.values()]);
  };

  const set = (object: T): void => {
    const key = keyOf(object);
    const before = get(key.namespace, key.name);
    if (before?.metadata.resourceVersion === object.metadata.resourceVersion) return;
    let objects = byNamespace.get(key.namespace);
    if (objects === undefined) byNamespace.set(key.namespace, (objects = new Map<string, T>()));
    objects.set(key.name, object);
    notify(key, object, before);
  };

  const remove = (object: KubeObject): void => {
    const key = keyOf(object);
    const objects = byNamespace.get(key.namespace);
    const before = objects?.get(key.name);
    if (objects === undefined || before === undefined) return;
    objects.delete(key.name);
    if (objects.size === 0) byNamespace.delete(key.namespace);
    notify(key, undefined, before);
  };

  return {
    get,
    list,
    set,
    remove,
    replace: (objects) => {
      const present = new Set(objects.map((object) => JSON.stringify(keyOf(object))));
      for (const object of list()) if (!present.has(JSON.stringify(keyOf(object)))) remove(object);
      for (const object of objects) set(object);
    },
    onChange: (listener) => {
      // A wrapper of its own, so that a listener added twice is two.
      const entry: Listener<T> = (key, now, before) => listener(key, now, before);
      listeners.add(entry);
      return () => void listeners.delete(entry);
    },
  };
};
