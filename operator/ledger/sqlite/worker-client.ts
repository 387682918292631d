import { Worker } from 'node:worker_threads';
import { OutriderError, type Problem } from '@outrider/protocol';
import { closeCall } from './worker-host.ts';
import type { Call, WorkerMessage } from './worker-messages.ts';

export interface WorkerClient<Opened, Event> {
  readonly opened: Opened;
  /** Resolves after the commit. @throws OutriderError what the worker refused with, Unavailable when it is gone. */
  call<Result>(name: string, args: readonly unknown[]): Promise<Result>;
  /** Called after each commit that has an event, before its calls are answered. */
  onEvent(listener: (event: Event) => void): void;
  /** Answers what was called before, then closes the store. */
  close(): Promise<void>;
}

export interface WorkerOptions {
  /** Names the store in errors, such as `ledger`. */
  readonly what: string;
  readonly url: URL;
  readonly workerData: unknown;
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Beside the caller's source as TypeScript, or beside the bundle under the name that the build gives it. */
export const workerUrl = (callerUrl: string, source: string, bundled: string): URL =>
  new URL(callerUrl.endsWith('.ts') ? source : bundled, callerUrl);

const gone = (what: string, cause?: unknown): OutriderError => {
  const why = cause instanceof Error ? `: ${cause.message}` : '';
  return new OutriderError(
    {
      code: 'Unavailable',
      message: `The ${what} is closed${why}.`,
      action: 'Start the operator again; what was answered is kept.',
    },
    cause instanceof Error ? { cause } : {},
  );
};

/** Starts a worker thread that serves a store. Resolves once it is open; rejects with what kept it from opening. */
export const startWorker = async <Opened, Event = never>(
  options: WorkerOptions,
): Promise<WorkerClient<Opened, Event>> => {
  const { what, url, workerData } = options;
  const execArgv = url.pathname.endsWith('.ts') ? ['--conditions=development'] : [];
  const worker = new Worker(url, { workerData, execArgv, name: what });
  const waiting = new Map<number, Waiting>();
  let listener: (event: Event) => void = () => undefined;
  let ended: OutriderError | undefined;
  let lastId = 0;

  const settle = (message: Extract<WorkerMessage, { kind: 'answers' }>): void => {
    if (message.event !== undefined) listener(message.event as Event);
    for (const answer of message.answers) {
      const call = waiting.get(answer.id);
      waiting.delete(answer.id);
      if (answer.ok) call?.resolve(answer.value);
      else call?.reject(new OutriderError(answer.problem));
    }
  };
  const end = (error: OutriderError): void => {
    ended ??= error;
    for (const call of waiting.values()) call.reject(ended);
    waiting.clear();
  };
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()));

  const opened = await new Promise<Opened>((resolve, reject) => {
    const fail = (problem: Problem): void => reject(new OutriderError(problem));
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'opened') resolve(message.value as Opened);
      else if (message.kind === 'failed') fail(message.problem);
      else settle(message);
    });
    worker.on('error', (error) => {
      end(gone(what, error));
      reject(gone(what, error));
    });
    worker.on('exit', () => {
      end(gone(what));
      reject(gone(what));
    });
  });

  const call = <Result>(name: string, args: readonly unknown[]): Promise<Result> =>
    new Promise<Result>((resolve, reject) => {
      if (ended !== undefined) {
        reject(ended);
        return;
      }
      lastId += 1;
      waiting.set(lastId, { resolve: (value) => resolve(value as Result), reject });
      const message: Call = { id: lastId, name, args };
      worker.postMessage(message, []);
    });

  let closing: Promise<void> | undefined;
  const close = async (): Promise<void> => {
    const answered = call<void>(closeCall, []);
    ended = gone(what);
    await answered;
    await exited;
  };
  return {
    opened,
    call,
    onEvent: (next) => {
      listener = next;
    },
    close: () => (closing ??= close()),
  };
};
