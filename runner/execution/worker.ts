import { parentPort, workerData } from 'node:worker_threads';
import { OutriderError } from '@outrider/protocol';
import { AttemptExecution, loadExecutor } from './attempt-execution.ts';
import { loadExecutorTable } from './executor-table.ts';
import type { Answer, FromWorker, Question, ToWorker, WorkerSettings } from './messages.ts';

/** Entry of the executor thread. It knows executors and secrets, and neither journal nor network to the operator. */
if (parentPort === null) throw new Error('worker.ts runs as a worker thread only');
const port = parentPort;
const { machine, executors } = workerData as WorkerSettings;
const table = loadExecutorTable(executors);
const attempts = new Map<string, AttemptExecution>();
/** Ended, and not settled yet. */
const ended = new Map<string, AttemptExecution>();
const questions = new Map<number, (answer: Answer) => void>();
let lastQuestion = 0;

const post = (message: FromWorker, transfer: readonly ArrayBuffer[] = []): void =>
  port.postMessage(message, transfer);

const ask = (key: string, question: Question): Promise<string> =>
  new Promise((resolve, reject) => {
    const id = (lastQuestion += 1);
    questions.set(id, (answer) => {
      if ('problem' in answer) reject(new OutriderError(answer.problem));
      else resolve(answer.value);
    });
    post({ type: 'question', key, id, question });
  });

const execute = async ({ key, request }: Extract<ToWorker, { type: 'execute' }>): Promise<void> => {
  const attempt = new AttemptExecution(request, {
    machine,
    table,
    entered: () => post({ type: 'entered', key, at: performance.timeOrigin + performance.now() }),
    frames: (bytes) => post({ type: 'frames', key, bytes }, [bytes.buffer]),
    ask: (question) => ask(key, question),
    needsTime: (ms) => post({ type: 'needsTime', key, ms }),
    ended: (verdict) => {
      attempts.delete(key);
      ended.set(key, attempt);
      post({ type: 'ended', key, ended: verdict });
    },
  });
  attempts.set(key, attempt);
  await attempt.run();
};

/** What cannot be ended, for whatever reason, is not surely gone. */
const reap = async ({ id, node, handle }: Extract<ToWorker, { type: 'reap' }>): Promise<void> => {
  const gone = await loadExecutor(await table, node)
    .then((module) => module.reap?.(handle) ?? false)
    .catch(() => false);
  post({ type: 'reaped', id, gone });
};

/** Nobody is there to be asked, or told, about an attempt that has ended. */
const tidy = async ({ id, request, handle }: Extract<ToWorker, { type: 'tidy' }>): Promise<void> => {
  const nothing = (): void => undefined;
  const attempt = new AttemptExecution(request, {
    machine,
    table,
    entered: nothing,
    frames: nothing,
    ask: () => Promise.reject(new Error('the attempt has ended')),
    needsTime: nothing,
    ended: nothing,
  });
  const gone = await attempt.tidy(handle).then(
    () => true,
    () => false,
  );
  post({ type: 'reaped', id, gone });
};

/** Also of what never entered this thread, or was ended without it. */
const settle = (key: string): void => {
  const attempt = ended.get(key) ?? attempts.get(key);
  ended.delete(key);
  attempt?.settle();
};

const answered = ({ id, answer }: Extract<ToWorker, { type: 'answer' }>): void => {
  questions.get(id)?.(answer);
  questions.delete(id);
};

/** An attempt that has ended hears nothing more. */
const tell = (key: string, act: (attempt: AttemptExecution) => void): void => {
  const attempt = attempts.get(key);
  if (attempt !== undefined) act(attempt);
};

const receive = async (message: ToWorker): Promise<void> => {
  switch (message.type) {
    case 'ping':
      return post({ type: 'pong' });
    case 'execute':
      return execute(message);
    case 'stop':
      return tell(message.key, (attempt) => attempt.stop(message.reason));
    case 'abandon':
      return tell(message.key, (attempt) => attempt.abandon(message.reason));
    case 'credit':
      return tell(message.key, (attempt) => attempt.credit(message.bytes));
    case 'settled':
      return settle(message.key);
    case 'answer':
      return answered(message);
    case 'reap':
      return reap(message);
    case 'tidy':
      return tidy(message);
  }
};

port.on('message', (message: ToWorker) => void receive(message));
table.then(
  () => post({ type: 'ready' }),
  // Each attempt reports it in its own result.
  () => undefined,
);
