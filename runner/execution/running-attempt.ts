import { setTimeout as delay } from 'node:timers/promises';
import { OutriderError, type AttemptRef, type TaskResult } from '@outrider/protocol';
import type { ExecutorResult, StopReason } from '@outrider/nodes/contract';
import type { Journal } from '../journal/contract.ts';
import { instantOf } from './clock.ts';
import type { ExecutionRequest, LearnHostKey } from './contract.ts';
import type { EndedAttempt, Question } from './messages.ts';
import { secretsOf } from './secret-sets.ts';
import { timeoutOf } from './timeout.ts';
import { finalVerdict, thrown } from './verdict.ts';

/** A log that found no room on the disk is sealed again after this. */
const sealRetryMs = 1000;

/** From the request to the executor's entry: the thread may have to start, and the executor to be loaded. */
const entryMs = 60_000;

export interface RunningAttemptOptions {
  readonly request: ExecutionRequest;
  readonly journal: Journal;
  /** How long after its signal, or after the timeout, an executor may take. */
  readonly graceMs: number;
  readonly onEntry: ((at: number) => void) | undefined;
  readonly learnHostKey: LearnHostKey | undefined;
  /** The executor is overdue: the thread is to report without it. */
  readonly onOverdue: (reason: StopReason) => void;
  /** Aborts when the host closes. */
  readonly closing: AbortSignal;
}

/** One attempt as the main thread sees it: its deadline, its frames on their way to the journal, its result. */
export class RunningAttempt {
  readonly ref: AttemptRef;
  readonly result: Promise<TaskResult>;
  readonly #options: RunningAttemptOptions;
  readonly #outcome = Promise.withResolvers<TaskResult>();
  #startedAt = Date.now();
  #deadline: NodeJS.Timeout | undefined;
  #appended: Promise<void> = Promise.resolve();
  #stopped: StopReason | undefined;
  #settled = false;

  constructor(options: RunningAttemptOptions) {
    const { task, epoch } = options.request;
    this.ref = { task, epoch };
    this.#options = options;
    this.result = this.#outcome.promise;
    this.#expectEnd(entryMs, 'TimedOut');
  }

  /** Set when its end was asked for. */
  get stopped(): StopReason | undefined {
    return this.#stopped;
  }

  entered(at: number): void {
    this.#startedAt = Date.now();
    if (this.#stopped === undefined) this.#expectEnd(timeoutOf(this.#options.request), 'TimedOut');
    this.#options.onEntry?.(at);
  }

  stop(reason: StopReason): void {
    if (this.#stopped !== undefined || this.#settled) return;
    this.#stopped = reason;
    this.#expectEnd(0, reason);
  }

  /** Its executor was told to end, and says that this takes longer. */
  needsTime(ms: number): void {
    if (!this.#settled) this.#expectEnd(ms, this.#stopped ?? 'TimedOut');
  }

  /** What goes to the journal is answered when it is durable. A checkpoint comes after the frames that it counts. */
  async answer(question: Question): Promise<string> {
    const { journal, learnHostKey } = this.#options;
    if (question.type === 'hostKey') {
      if (learnHostKey === undefined) throw new Error('nobody can be asked for a host key');
      return learnHostKey(question.shown);
    }
    if (question.type === 'handle') await journal.handle(this.ref, question.handle);
    else {
      await this.#appended;
      await journal.checkpoint(this.ref, question.progress);
    }
    return '';
  }

  /** Hands frames to the journal. What it cannot take is not an executor's business: sealing the log will tell. */
  append(frames: Uint8Array, taken: () => void): void {
    const appended = this.#options.journal.append(this.ref, frames).catch(() => undefined);
    this.#appended = this.#appended.then(() => appended).then(taken);
  }

  /** The end as the executor thread reported it. */
  end(ended: EndedAttempt): void {
    this.#settle(ended);
  }

  /** The end as the main thread must assume it. */
  assume(result: ExecutorResult): void {
    const verdict = finalVerdict(result, secretsOf(this.#options.request.credential));
    this.#settle({ ...verdict, startedAt: instantOf(this.#startedAt), finishedAt: instantOf(Date.now()) });
  }

  #settle(ended: EndedAttempt): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#deadline);
    void this.#appended
      .then(() => this.#seal())
      .then(
        (log) => this.#outcome.resolve({ ...ended, log }),
        (error: unknown) => this.#outcome.resolve(this.#withoutLog(ended, error)),
      );
  }

  /**
   * Waits for room as long as it takes: what the step did is known, and an attempt that keeps its slot until its log
   * and result can be recorded is the honest state of a runner whose disk is full.
   */
  async #seal(): Promise<TaskResult['log']> {
    const { journal, closing } = this.#options;
    for (;;) {
      try {
        return await journal.sealLog(this.ref);
      } catch (error) {
        if (!(error instanceof OutriderError) || error.code !== 'JournalFull' || closing.aborted) throw error;
      }
      await delay(sealRetryMs, undefined, { signal: closing }).catch(() => undefined);
    }
  }

  #withoutLog(ended: EndedAttempt, error: unknown): TaskResult {
    const { startedAt, finishedAt } = ended;
    const length = this.#options.journal.logLength(this.ref);
    return {
      ...thrown(error, undefined),
      unconfirmed: true,
      startedAt,
      finishedAt,
      log: { length, sha256: '' },
    };
  }

  #expectEnd(ms: number, reason: StopReason): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(() => {
      this.#stopped ??= reason;
      this.#options.onOverdue(reason);
    }, ms + this.#options.graceMs);
  }
}
