import type { MessagePort } from 'node:worker_threads';
import { toProblem } from '@outrider/protocol';
import type { Answer, Call, WorkerMessage } from './worker-messages.ts';

/** Calls answered by one commit; more wait for the next, so that no answer waits for an unbounded group. */
const maxGroup = 1000;

export interface Service {
  /** Told to the client once, when the store is open. */
  readonly opened: unknown;
  /** Runs a group of calls and makes them durable. Never rejects; answers in any order. */
  handle(calls: readonly Call[]): Promise<{ readonly answers: readonly Answer[]; readonly event?: unknown }>;
  close(): void;
}

/** Call that ends the worker after what was called before it. */
export const closeCall = 'close';

/**
 * Serves a store behind a port. Calls that arrive while a group is at work form the next group: under load the groups
 * grow, and the number of commits does not.
 */
export const serve = (port: MessagePort, open: () => Service): void => {
  const post = (message: WorkerMessage): void => port.postMessage(message);
  let service: Service;
  try {
    service = open();
  } catch (error) {
    post({ kind: 'failed', problem: toProblem(error) });
    port.close();
    return;
  }

  const queue: Call[] = [];
  let scheduled = false;

  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      const calls = queue.splice(0, maxGroup);
      const end = calls.findIndex((call) => call.name === closeCall);
      const group = end < 0 ? calls : calls.slice(0, end);
      if (group.length > 0) post({ kind: 'answers', ...(await service.handle(group)) });
      const closing = calls[end];
      if (closing === undefined) continue;
      service.close();
      post({ kind: 'answers', answers: [{ id: closing.id, ok: true, value: undefined }] });
      port.close();
      return;
    }
    scheduled = false;
  };

  port.on('message', (call: Call) => {
    queue.push(call);
    if (scheduled) return;
    scheduled = true;
    // After the other messages that are already there.
    setImmediate(() => void drain());
  });
  post({ kind: 'opened', value: service.opened });
};
