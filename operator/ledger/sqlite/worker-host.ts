import { setImmediate as nextTurn } from 'node:timers/promises';
import type { MessagePort } from 'node:worker_threads';
import { toProblem } from '@outrider/protocol';
import type { Answer, Call, WorkerMessage } from './worker-messages.ts';

/** Calls answered by one commit; more wait for the next, so that no answer waits for an unbounded group. */
const maxGroup = 1000;
/** Bytes written by one commit, and one call more. */
const maxGroupBytes = 2_097_152;

export interface Service {
  /** What only reads goes before what waits to be written, turn by turn: it waits for one commit. Default: nothing. */
  readonly isRead?: (call: Call) => boolean;
  /** Bytes that a call writes, where they count. Default: 0. */
  readonly bytesOf?: (call: Call) => number;
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
  let readLast = false;

  const nextGroup = (): Call[] => {
    const { isRead = () => false, bytesOf = () => 0 } = service;
    const reads = queue.filter(isRead);
    // Turn by turn, so that neither waits for ever.
    readLast = reads.length > 0 && (!readLast || reads.length === queue.length);
    if (readLast) {
      queue.splice(0, queue.length, ...queue.filter((call) => !isRead(call)));
      return reads;
    }
    let [count, bytes] = [0, 0];
    for (const call of queue) {
      if (count === maxGroup || bytes >= maxGroupBytes) break;
      count += 1;
      bytes += bytesOf(call);
    }
    return queue.splice(0, count);
  };

  const drain = async (): Promise<void> => {
    while (queue.length > 0) {
      const calls = nextGroup();
      const end = calls.findIndex((call) => call.name === closeCall);
      const group = end < 0 ? calls : calls.slice(0, end);
      if (group.length > 0) post({ kind: 'answers', ...(await service.handle(group)) });
      const closing = calls[end];
      if (closing === undefined) {
        // What came meanwhile is in the port, not yet in the queue.
        if (queue.length > 0) await nextTurn();
        continue;
      }
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
