import { attemptKey, encodeFrame, type AttemptRef, type TaskResult } from '@outrider/protocol';
import type { Handle, StopReason } from '@outrider/nodes/contract';
import type { ExecutionHost, ExecutionRequest, LearnHostKey } from '../../execution/contract.ts';
import type { Journal } from '../../journal/contract.ts';

/** What an attempt does in a test: write, wait for the signal, end. */
export interface Script {
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly stopped: AbortSignal;
  readonly request: ExecutionRequest;
  readonly learnHostKey: LearnHostKey | undefined;
}

export type Play = (
  script: Script,
) => Promise<Partial<Pick<TaskResult, 'outcome' | 'exitCode' | 'reason' | 'message' | 'unconfirmed'>>>;

/** Runs each attempt as a function in place of a process, journalling its output as the real host does. */
export class ScriptedHost implements ExecutionHost {
  readonly entered: string[] = [];
  readonly reaped: unknown[] = [];
  reapResult = true;
  readonly #journal: Journal;
  readonly #play: Play;
  readonly #running = new Map<string, AbortController>();

  constructor(journal: Journal, play: Play) {
    this.#journal = journal;
    this.#play = play;
  }

  get size(): number {
    return this.#running.size;
  }

  readonly resting = false;

  prepare(): void {}

  async execute(
    request: ExecutionRequest,
    onEntry?: (at: number) => void,
    learnHostKey?: LearnHostKey,
  ): Promise<TaskResult> {
    const key = attemptKey(request);
    const ref = { task: request.task, epoch: request.epoch };
    const stop = new AbortController();
    this.#running.set(key, stop);
    this.entered.push(key);
    onEntry?.(performance.timeOrigin + performance.now());
    const startedAt = new Date().toISOString();
    let seq = 0;
    const write = async (payload: Uint8Array): Promise<void> => {
      const ts = BigInt(Date.now()) * 1000n;
      await this.#journal.append(ref, encodeFrame({ seq: seq++, stream: 'stdout', ts, payload }));
    };
    const end = await this.#play({ write, stopped: stop.signal, request, learnHostKey });
    const log = await this.#journal.sealLog(ref);
    this.#running.delete(key);
    return {
      outcome: 'Succeeded',
      exitCode: 0,
      ...end,
      startedAt,
      finishedAt: new Date().toISOString(),
      log,
    };
  }

  stop(ref: AttemptRef, reason: StopReason): void {
    this.#running.get(attemptKey(ref))?.abort(reason);
  }

  readonly settledKeys: string[] = [];

  settled(ref: AttemptRef): void {
    this.settledKeys.push(attemptKey(ref));
  }

  reap(node: string, handle: Readonly<Record<string, string | number>>): Promise<boolean> {
    this.reaped.push({ node, handle });
    return Promise.resolve(this.reapResult);
  }

  readonly tidied: unknown[] = [];

  tidy(request: ExecutionRequest, handle: Handle): Promise<boolean> {
    this.tidied.push({ task: request.task, handle });
    return Promise.resolve(this.reapResult);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** Resolves when the attempt is told to stop. */
export const untilStopped = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve());
  });
