/** A Kubernetes object as the API server gives it, managedFields stripped. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly creationTimestamp?: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** Group, version and plural of a resource; group '' is the core group. */
export interface ResourceType {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly kind: string;
}

/** Thrown for every answer that is not 2xx. `reason` is the API server's own word, such as NotFound, AlreadyExists, Conflict, Forbidden, Expired. */
export interface KubeFailure extends Error {
  readonly status: number;
  readonly reason: string;
  /** Seconds, from Retry-After. */
  readonly retryAfter?: number;
}

/** Reads and writes; each call has a deadline of its own (15 s) and ends on `signal`. */
export interface KubeClient {
  get<T extends KubeObject>(
    type: ResourceType,
    ref: { namespace?: string; name: string },
  ): Promise<T | undefined>;
  list<T extends KubeObject>(
    type: ResourceType,
    options?: { namespace?: string; labelSelector?: string },
  ): Promise<readonly T[]>;
  create<T extends KubeObject>(type: ResourceType, namespace: string | undefined, body: unknown): Promise<T>;
  /** JSON merge patch (RFC 7396); `subresource: 'status'` for status. */
  patch<T extends KubeObject>(
    type: ResourceType,
    ref: { namespace?: string; name: string },
    change: { body: unknown; subresource?: 'status' },
  ): Promise<T>;
  delete(type: ResourceType, ref: { namespace?: string; name: string; uid?: string }): Promise<void>;
  /** Any path, for what the calls above do not cover (SubjectAccessReview, version). */
  request(call: {
    method: string;
    path: string;
    body?: unknown;
    contentType?: string;
    signal?: AbortSignal;
  }): Promise<unknown>;
  /** A watch stream's raw lines, for the reflector. */
  watch(path: string, signal: AbortSignal): AsyncIterable<unknown>;
}

/** The reflector's read side: a cache that is never older than its last event, keyed by namespace and name. */
export interface Cache<T extends KubeObject> {
  /** Resolves after the first complete list. */
  readonly synced: Promise<void>;
  get(namespace: string, name: string): T | undefined;
  list(namespace?: string): readonly T[];
  /** `now` is undefined when the object is gone. */
  onChange(listener: (key: ObjectKey, now: T | undefined, before: T | undefined) => void): () => void;
}

export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

/** Keyed work queue: one reconcile per key at a time, coalescing, back-off per key (5 ms doubling to 5 min), bounded concurrency. */
export interface WorkQueue {
  add(key: string): void;
  addAfter(key: string, milliseconds: number): void;
  /** Stops taking keys, waits for those in work. */
  stop(): Promise<void>;
}

/** What an Event tells of an object: who it is. */
export type EventSubject = Pick<KubeObject, 'apiVersion' | 'kind'> & {
  readonly metadata: Pick<KubeObject['metadata'], 'name' | 'namespace' | 'uid'> & {
    readonly resourceVersion?: string;
  };
};

export interface EventRecorder {
  /** Kubernetes Event (events.k8s.io/v1) on the object; equal ones within minutes are counted, not repeated. Never throws. */
  record(
    object: EventSubject,
    event: { type: 'Normal' | 'Warning'; reason: string; action: string; note: string },
  ): void;
}

/**
 * Writes status: merge patches, only when something differs from the cache, at most one write a second per object and 20 a
 * second overall, changes of phase first and, per object, within 0.1 s. The last wanted status always gets written.
 */
export interface StatusWriter {
  want(type: ResourceType, object: KubeObject, status: unknown, options?: { urgent?: boolean }): void;
  /** Resolves when everything wanted so far is written or has failed for good. */
  flush(): Promise<void>;
  stop(): Promise<void>;
}
