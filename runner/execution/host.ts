import { attemptKey, toProblem, type AttemptRef, type TaskResult } from '@outrider/protocol';
import type { Handle, RunnerMachine, StopReason } from '@outrider/nodes/contract';
import type { Journal } from '../journal/contract.ts';
import type { ExecutionHost, ExecutionRequest, LearnHostKey } from './contract.ts';
import type { Answer, Question, ToWorker } from './messages.ts';
import { RunningAttempt } from './running-attempt.ts';
import { Thread, type Report } from './thread.ts';
import { crashed, overdue } from './verdict.ts';

export interface ExecutionHostOptions {
  readonly journal: Journal;
  readonly machine: RunnerMachine;
  /** Module whose export `executors` replaces the product's table of node types. */
  readonly executors?: URL;
  /**
   * How long an executor may take to end after its signal. Then the result says `unconfirmed`.
   * @default 30,000
   */
  readonly graceMs?: number;
  /**
   * How long the thread may not answer. Then an executor blocks it, and it is ended.
   * @default 10,000
   */
  readonly hangMs?: number;
  /**
   * A thread without attempts for so long is ended: a runner at rest needs a fifth less memory. Longer than SSH connections
   * are kept, which live in it.
   * @default 120,000
   */
  readonly idleMs?: number;
}

const closing = 'the runner is closing';

class WorkerHost implements ExecutionHost {
  readonly #options: ExecutionHostOptions;
  readonly #graceMs: number;
  readonly #attempts = new Map<string, RunningAttempt>();
  readonly #reapers = new Map<number, (gone: boolean) => void>();
  readonly #closing = new AbortController();
  #thread: Thread | undefined;
  #lastReaper = 0;
  #rest: NodeJS.Timeout | undefined;

  constructor(options: ExecutionHostOptions) {
    this.#options = options;
    this.#graceMs = options.graceMs ?? 30_000;
  }

  get resting(): boolean {
    return this.#thread === undefined;
  }

  get size(): number {
    return this.#attempts.size;
  }

  prepare(): void {
    if (!this.#closing.signal.aborted) this.#running();
    this.#restLater();
  }

  execute(
    request: ExecutionRequest,
    onEntry?: (at: number) => void,
    learnHostKey?: LearnHostKey,
  ): Promise<TaskResult> {
    const key = attemptKey(request);
    const known = this.#attempts.get(key);
    if (known !== undefined) return known.result;
    const attempt = new RunningAttempt({
      request,
      journal: this.#options.journal,
      graceMs: this.#graceMs,
      onEntry,
      learnHostKey,
      onOverdue: (reason) => this.#thread?.post({ type: 'abandon', key, reason }),
      closing: this.#closing.signal,
    });
    this.#attempts.set(key, attempt);
    if (this.#closing.signal.aborted) attempt.assume(crashed(closing));
    else this.#running().post({ type: 'execute', key, request });
    return attempt.result.finally(() => {
      this.#attempts.delete(key);
      this.#restLater();
    });
  }

  stop(ref: AttemptRef, reason: StopReason): void {
    const key = attemptKey(ref);
    this.#attempts.get(key)?.stop(reason);
    this.#thread?.post({ type: 'stop', key, reason });
  }

  settled(ref: AttemptRef): void {
    this.#thread?.post({ type: 'settled', key: attemptKey(ref) });
  }

  reap(node: string, handle: Handle): Promise<boolean> {
    return this.#ask((id) => ({ type: 'reap', id, node, handle }));
  }

  tidy(request: ExecutionRequest, handle: Handle): Promise<boolean> {
    return this.#ask((id) => ({ type: 'tidy', id, request, handle }));
  }

  async #ask(question: (id: number) => ToWorker): Promise<boolean> {
    if (this.#closing.signal.aborted) return false;
    const id = (this.#lastReaper += 1);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#reapers.set(id, resolve);
    const limit = setTimeout(() => resolve(false), this.#graceMs);
    this.#running().post(question(id));
    const gone = await promise;
    clearTimeout(limit);
    this.#reapers.delete(id);
    return gone;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#rest);
    await this.#thread?.terminate();
    await Promise.all(Array.from(this.#attempts.values(), (attempt) => attempt.result));
  }

  /** Each use begins the time anew. */
  #restLater(): void {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#endIdleThread(), this.#options.idleMs ?? 120_000).unref();
  }

  #endIdleThread(): void {
    if (this.#attempts.size > 0 || this.#reapers.size > 0) return this.#restLater();
    const thread = this.#thread;
    this.#thread = undefined;
    void thread?.terminate();
  }

  #running(): Thread {
    this.#thread ??= this.#startThread();
    return this.#thread;
  }

  #startThread(): Thread {
    const { machine, executors, hangMs } = this.#options;
    const thread: Thread = new Thread({ machine, executors: executors?.href }, hangMs ?? 10_000, {
      message: (message) => this.#receive(message, thread),
      exit: (cause, wasReady) => this.#threadEnded(thread, cause, wasReady),
    });
    return thread;
  }

  /** A thread that never became ready is started again by the next task only, so that a broken one is no hot loop. */
  #threadEnded(thread: Thread, cause: string, wasReady: boolean): void {
    // It was ended at rest, and another may be at work already.
    if (this.#thread !== thread) return;
    this.#thread = undefined;
    const why = this.#closing.signal.aborted ? closing : cause;
    for (const attempt of this.#attempts.values())
      attempt.assume(attempt.stopped === undefined ? crashed(why) : overdue(attempt.stopped));
    for (const resolve of this.#reapers.values()) resolve(false);
    if (wasReady && !this.#closing.signal.aborted) this.#thread = this.#startThread();
  }

  #receive(message: Report, thread: Thread): void {
    if (message.type === 'reaped') return this.#reapers.get(message.id)?.(message.gone);
    const attempt = this.#attempts.get(message.key);
    if (attempt === undefined) return;
    switch (message.type) {
      case 'entered':
        return attempt.entered(message.at);
      case 'frames': {
        const { key, bytes } = message;
        const { length } = bytes;
        return attempt.append(bytes, () => thread.post({ type: 'credit', key, bytes: length }));
      }
      case 'question':
        return void this.#answer(attempt, message, thread);
      case 'needsTime':
        return attempt.needsTime(message.ms);
      case 'ended':
        return attempt.end(message.ended);
    }
  }

  async #answer(
    attempt: RunningAttempt,
    { id, question }: { id: number; question: Question },
    thread: Thread,
  ): Promise<void> {
    const answer = await attempt.answer(question).then(
      (value): Answer => ({ value }),
      (error: unknown): Answer => ({ problem: toProblem(error) }),
    );
    thread.post({ type: 'answer', id, answer });
  }
}

/** The executor thread starts with `prepare` or the first task, and ends when it has rested for a while. */
export const createExecutionHost = (options: ExecutionHostOptions): ExecutionHost => new WorkerHost(options);
