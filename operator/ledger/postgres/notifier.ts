import type { Connection } from './connection.ts';

export const channel = 'outrider_tasks';
/** PostgreSQL takes less than 8000 bytes. */
const maxPayload = 7900;
/** In place of ids: too many to name. */
export const everythingMark = '*';

/** `replica`, then an id a line; ids are of the operator's making and have no line breaks. */
export const formatPayload = (replica: string, tasks: readonly string[]): string => {
  const payload = [replica, ...tasks].join('\n');
  return Buffer.byteLength(payload) <= maxPayload ? payload : `${replica}\n${everythingMark}`;
};

export const parsePayload = (payload: string): { replica: string; tasks: readonly string[] | undefined } => {
  const [replica = '', ...tasks] = payload.split('\n');
  return { replica, tasks: tasks[0] === everythingMark ? undefined : tasks };
};

export interface Notifier {
  /** Tells the other replicas soon; several commits at once make one notification. */
  readonly tell: (tasks: readonly string[]) => void;
}

/**
 * Notifies after the commit, in a transaction of its own: a NOTIFY inside would make every commit wait for the one before,
 * with its disk, since the server keeps their order. What is lost with this process is found by the others' sweep.
 */
export const createNotifier = (replica: string, session: () => Connection | undefined): Notifier => {
  const pending = new Set<string>();
  let isSending = false;

  const send = async (): Promise<void> => {
    isSending = true;
    while (pending.size > 0) {
      const payload = formatPayload(replica, [...pending]);
      pending.clear();
      await session()
        ?.query('SELECT pg_notify($1, $2)', [channel, payload])
        .catch(() => undefined);
    }
    isSending = false;
  };

  return {
    tell: (tasks) => {
      for (const id of tasks) pending.add(id);
      if (!isSending) void send();
    },
  };
};
