import { pause } from './back-off.ts';
import { mergePatchType } from './client.ts';
import type { KubeClient, KubeObject } from './contract.ts';
import { kubeMicroTime } from './instants.ts';
import { isConflict, isNotFound, isRetryable } from './kube-error.ts';
import type { Logger } from './logger.ts';
import { apiVersionOf, leases, pathOf } from './resources.ts';

export interface LeaderOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Of the Lease. */
  readonly name: string;
  /** Unique among the candidates, such as the pod's name; a candidate that finds its own in the Lease (restarted in the same pod) takes it at once. */
  readonly identity: string;
  /** Stops gracefully: `lead` ends, then the Lease is released. */
  readonly signal: AbortSignal;
  /** What the leader does until its signal, which also ends on loss. */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  /**
   * Called exactly once if the Lease is lost while leading. The process must exit: what it has in flight can no longer
   * be taken back, and another leader is at work.
   */
  readonly onLost: (why: string) => void;
  readonly logger: Logger;
  readonly times: LeaderTimes;
}

export interface LeaderTimes {
  /** Others may take a Lease that was not renewed for so long. */
  readonly durationMs: number;
  /** A leader that could not renew for so long gives up; below durationMs by more than clocks and requests take. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/** Of a Lease of this duration, in the proportions of client-go's defaults: 15 s, 10 s and 2 s. */
export const leaderTimesOf = (durationMs: number): LeaderTimes => ({
  durationMs,
  renewDeadlineMs: Math.round((durationMs * 2) / 3),
  retryMs: Math.round((durationMs * 2) / 15),
});

interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

/** Waits for the Lease, leads, and resolves once it has stopped. Rejects with what `lead` throws. */
export const runAsLeader = async (options: LeaderOptions): Promise<void> => {
  const { times } = options;
  const lease = leaseCalls(options, times);
  const held = await acquire(options, lease, times);
  if (held === undefined) return;
  options.logger.info({ lease: options.name, identity: options.identity }, 'leading');
  const lost = new AbortController();
  const done = new AbortController();
  const renewing = renew(options, { lease, times, held, done: done.signal, lost });
  try {
    await options.lead(AbortSignal.any([options.signal, lost.signal]));
  } finally {
    done.abort();
    const last = await renewing;
    if (!lost.signal.aborted) await lease.release(last);
  }
};

type Calls = ReturnType<typeof leaseCalls>;

/** Reads and conditional writes (by resourceVersion) of the Lease, each within `renewDeadlineMs`. */
const leaseCalls = ({ client, namespace, name, identity, logger }: LeaderOptions, times: LeaderTimes) => {
  const path = pathOf(leases, { namespace, name });
  const leaseDurationSeconds = Math.max(1, Math.ceil(times.durationMs / 1000));
  const within = (signal: AbortSignal | undefined): AbortSignal => {
    const deadline = AbortSignal.timeout(times.renewDeadlineMs);
    return signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
  };
  const patch = async (lease: Lease, spec: object, signal?: AbortSignal): Promise<Lease> => {
    const body = { metadata: { resourceVersion: lease.metadata.resourceVersion }, spec };
    const call = { method: 'PATCH', path, body, contentType: mergePatchType, signal: within(signal) };
    return (await client.request(call)) as Lease;
  };
  return {
    read: async (signal: AbortSignal): Promise<Lease | undefined> => {
      try {
        return (await client.request({ method: 'GET', path, signal: within(signal) })) as Lease;
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    take: async (lease: Lease | undefined, signal: AbortSignal): Promise<Lease> => {
      const now = kubeMicroTime(Date.now());
      const leaseTransitions = (lease?.spec?.leaseTransitions ?? -1) + 1;
      const spec = {
        holderIdentity: identity,
        leaseDurationSeconds,
        acquireTime: now,
        renewTime: now,
        leaseTransitions,
      };
      if (lease !== undefined) return patch(lease, spec, signal);
      const body = { apiVersion: apiVersionOf(leases), kind: leases.kind, metadata: { name }, spec };
      const call = { method: 'POST', path: pathOf(leases, { namespace }), body, signal: within(signal) };
      return (await client.request(call)) as Lease;
    },
    renew: (lease: Lease): Promise<Lease> => patch(lease, { renewTime: kubeMicroTime(Date.now()) }),
    /** Lets the next one in without waiting; failing to only costs that wait. */
    release: async (lease: Lease): Promise<void> => {
      const now = kubeMicroTime(Date.now());
      await patch(lease, { holderIdentity: '', leaseDurationSeconds: 1, renewTime: now }).catch(
        (error: unknown) =>
          logger.warn(
            { err: error, lease: name },
            'could not release the lease; the next leader waits until it expires',
          ),
      );
    },
  };
};

/** The Lease as taken, and since when (monotonic, before the request was sent) it is held. */
interface Held {
  readonly lease: Lease;
  readonly since: number;
}

const acquire = async (
  options: LeaderOptions,
  calls: Calls,
  times: LeaderTimes,
): Promise<Held | undefined> => {
  const { signal, identity, logger } = options;
  // Another holder's clock is not trusted: its Lease expires when we have seen it unchanged for its duration.
  let seen = { version: '', at: 0 };
  while (!signal.aborted) {
    try {
      const lease = await calls.read(signal);
      const version = lease?.metadata.resourceVersion ?? '';
      if (version !== seen.version) seen = { version, at: performance.now() };
      if (lease === undefined || isFree(lease, identity, performance.now() - seen.at)) {
        const since = performance.now();
        return { lease: await calls.take(lease, signal), since };
      }
    } catch (error) {
      // A conflict is another candidate that was faster.
      if (!signal.aborted && !isConflict(error))
        logger.warn({ err: error, lease: options.name }, 'could not acquire the lease; trying again');
    }
    await pause(times.retryMs * (0.9 + Math.random() * 0.2), signal);
  }
  return undefined;
};

const isFree = (lease: Lease, identity: string, unchangedMs: number): boolean => {
  const holder = lease.spec?.holderIdentity ?? '';
  return (
    holder === '' || holder === identity || unchangedMs > (lease.spec?.leaseDurationSeconds ?? 15) * 1000
  );
};

interface Renewal {
  readonly lease: Calls;
  readonly times: LeaderTimes;
  readonly held: Held;
  /** Leading is over. */
  readonly done: AbortSignal;
  readonly lost: AbortController;
}

/** Renews until done or lost; the Lease as last written. */
const renew = async (
  options: LeaderOptions,
  { lease: calls, times, held, done, lost }: Renewal,
): Promise<Lease> => {
  let { lease, since } = held;
  const watchdog = createWatchdog(times.renewDeadlineMs, (why) => {
    lost.abort();
    options.onLost(`the Lease ${options.namespace}/${options.name} ${why}`);
  });
  watchdog.feed(since);
  for (;;) {
    await pause(times.retryMs, AbortSignal.any([done, lost.signal]));
    if (done.aborted || lost.signal.aborted) break;
    try {
      since = performance.now();
      lease = await calls.renew(lease);
      watchdog.feed(since);
    } catch (error) {
      options.logger.warn({ err: error, lease: options.name }, 'could not renew the lease');
      lease = await confirm(options, { calls, lease, error, watchdog });
    }
  }
  watchdog.stop();
  return lease;
};

interface Watchdog {
  /** Held for sure as of this (monotonic) time. */
  feed(since: number): void;
  /** It is certain that the Lease belongs to another. */
  bite(why: string): void;
  stop(): void;
}

/** Bites once, at the deadline whatever the renewing loop hangs in. */
const createWatchdog = (deadlineMs: number, lose: (why: string) => void): Watchdog => {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const bite = (why: string): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    lose(why);
  };
  const feed = (since: number): void => {
    if (over) return;
    clearTimeout(timer);
    const late = `was not renewed for ${deadlineMs / 1000} s`;
    timer = setTimeout(bite, Math.max(0, since + deadlineMs - performance.now()), late);
  };
  const stop = (): void => {
    over = true;
    clearTimeout(timer);
  };
  return { feed, bite, stop };
};

/** After a refused renewal: the Lease as it is now if it is still ours; otherwise it is lost at once. */
const confirm = async (
  options: LeaderOptions,
  { calls, lease, error, watchdog }: { calls: Calls; lease: Lease; error: unknown; watchdog: Watchdog },
): Promise<Lease> => {
  if (isRetryable(error) && !isConflict(error)) return lease;
  try {
    const now = await calls.read(options.signal);
    if (now?.spec?.holderIdentity === options.identity) return now;
    watchdog.bite(`is held by ${now?.spec?.holderIdentity ?? 'nobody'}`);
  } catch (readError) {
    options.logger.warn({ err: readError, lease: options.name }, 'could not read the lease');
  }
  return lease;
};
