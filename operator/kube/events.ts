import type { EventRecorder, EventSubject, KubeClient } from './contract.ts';
import { kubeMicroTime } from './instants.ts';
import type { Logger } from './logger.ts';
import { apiVersionOf, events } from './resources.ts';

export interface EventRecorderOptions {
  readonly client: KubeClient;
  readonly logger: Logger;
  /** Name of this process, such as the pod's. */
  readonly instance: string;
  /** Milliseconds since the Unix epoch. @default Date.now */
  readonly now?: () => number;
  /** Repetitions are counted and written once in so many milliseconds. @default 60,000 */
  readonly seriesMs?: number;
}

export interface StoppableEventRecorder extends EventRecorder {
  /** Writes what waits, within the time that a request may take. */
  stop(): Promise<void>;
}

type Occurrence = Parameters<EventRecorder['record']>[1];

/** Equal events within this time are one series; what it is after that is a new Event. */
const seriesGapMs = 360_000;
/** Events that wait for the API server; beyond it the newest are dropped, for they must never block work. */
const longestQueue = 1000;
const longestNote = 1024;
const reportingController = 'outrider.dev/operator';

interface Series {
  readonly name: string;
  readonly namespace: string;
  count: number;
  writtenCount: number;
  last: number;
}

export const createEventRecorder = (options: EventRecorderOptions): StoppableEventRecorder => {
  const { client, logger, instance, now = Date.now, seriesMs = 60_000 } = options;
  const series = new Map<string, Series>();
  let queued = 0;
  let tail: Promise<void> = Promise.resolve();

  /** One at a time, in order. */
  const enqueue = (what: string, write: () => Promise<unknown>): void => {
    if (queued >= longestQueue)
      return logger.warn({ event: what }, 'dropped an event: too many wait for the API server');
    queued++;
    tail = tail.then(async () => {
      try {
        await write();
      } catch (error) {
        logger.warn({ err: error, event: what }, 'could not write an event');
      }
      queued--;
    });
  };

  const writeCounts = (): void => {
    for (const [key, entry] of series) {
      if (entry.count > entry.writtenCount) {
        entry.writtenCount = entry.count;
        const body = { series: { count: entry.count, lastObservedTime: kubeMicroTime(entry.last) } };
        enqueue(entry.name, () =>
          client.patch(events, { namespace: entry.namespace, name: entry.name }, { body }),
        );
      }
      if (now() - entry.last > seriesGapMs) series.delete(key);
    }
  };
  const timer = setInterval(writeCounts, seriesMs).unref();

  const record = (object: EventSubject, occurrence: Occurrence): void => {
    const at = now();
    const key = JSON.stringify([object.metadata.uid, occurrence]);
    const known = series.get(key);
    if (known !== undefined && at - known.last <= seriesGapMs) {
      known.count++;
      known.last = at;
      return;
    }
    const namespace = object.metadata.namespace ?? 'default';
    const name = eventName(object.metadata.name, at);
    series.set(key, { name, namespace, count: 1, writtenCount: 1, last: at });
    const body = eventBody(object, occurrence, { name, namespace, at, instance });
    enqueue(name, () => client.create(events, namespace, body));
  };

  return {
    record,
    stop: async () => {
      clearInterval(timer);
      writeCounts();
      await tail;
    },
  };
};

let sequence = 0;

/** Unique in this process by its number, among processes by time. */
const eventName = (object: string, at: number): string =>
  `${object.slice(0, 200)}.${at.toString(16)}${(sequence++ & 0xff_ff).toString(16).padStart(4, '0')}`;

const eventBody = (
  object: EventSubject,
  { type, reason, action, note }: Occurrence,
  about: { name: string; namespace: string; at: number; instance: string },
): object => ({
  apiVersion: apiVersionOf(events),
  kind: events.kind,
  metadata: { name: about.name, namespace: about.namespace },
  eventTime: kubeMicroTime(about.at),
  reportingController,
  reportingInstance: about.instance.slice(0, 128),
  type,
  reason,
  action,
  note: note.length > longestNote ? `${note.slice(0, longestNote - 1)}…` : note,
  regarding: {
    apiVersion: object.apiVersion,
    kind: object.kind,
    namespace: object.metadata.namespace,
    name: object.metadata.name,
    uid: object.metadata.uid,
    resourceVersion: object.metadata.resourceVersion,
  },
});
