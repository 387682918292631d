import {
  encodeLogBatch,
  maxLogBatchBytes,
  type AttemptRef,
  type LogAnswer,
  type LogChunk,
  type LogsResponse,
} from '@outrider/protocol';
import type { Journal } from '../journal/contract.ts';
import type { RunnerApi } from './api.ts';
import type { Attempt, Attempts } from './attempts.ts';
import { problemFields, type Logger } from './log.ts';
import { asOutriderError, type Persist } from './persist.ts';
import { createBackoff, createWakeup, sleep } from './waits.ts';

/** An upload starts when this much waits … */
const flushBytes = 65_536;
/** … or so many milliseconds after the one before. */
const flushMs = 100;
/** Header of a chunk: u16, task id (up to 64 bytes of ASCII, 256 as UTF-8), u32, u64, u32. */
const chunkOverhead = 18 + 256;

export interface LogLoopOptions {
  readonly api: Pick<RunnerApi, 'logs'>;
  readonly persist: Persist;
  readonly journal: Pick<Journal, 'readLog' | 'logLength' | 'onAppend'>;
  readonly attempts: Attempts;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

export interface LogLoop {
  /** An attempt has ended, or its offset was set: look again. */
  wake(): void;
  /** Ends on stop. */
  run(): Promise<void>;
}

/** Uploads framed log from the journal, one request in flight; the operator's answer sets each attempt's offset. */
export const createLogLoop = (options: LogLoopOptions): LogLoop => {
  const { api, persist, journal, attempts, stop, logger } = options;
  const wakeup = createWakeup();
  let turn = 0;

  const waiting = (attempt: Attempt): number =>
    attempt.logRefused || attempt.phase === 'Accepting'
      ? 0
      : journal.logLength(attempt.ref) - attempt.logOffset;

  /** Those with something to send, beginning with another one each time. */
  const candidates = (): Attempt[] => {
    const list = attempts.all().filter((attempt) => waiting(attempt) > 0);
    if (list.length < 2) return list;
    turn = (turn + 1) % list.length;
    return [...list.slice(turn), ...list.slice(0, turn)];
  };

  /** The space of one upload is shared out, so that a flood in one attempt cannot starve the others. */
  const collect = async (): Promise<LogChunk[]> => {
    const list = candidates();
    const share = Math.max(flushBytes, Math.floor(maxLogBatchBytes / Math.max(1, list.length)));
    const chunks: LogChunk[] = [];
    let space = maxLogBatchBytes;
    for (const attempt of list) {
      const most = Math.min(share, space) - chunkOverhead;
      if (most <= 0) break;
      const offset = attempt.logOffset;
      const bytes = await journal.readLog(attempt.ref, offset, Math.min(most, waiting(attempt)));
      if (bytes.length === 0) continue;
      chunks.push({ ...attempt.ref, offset, bytes });
      space -= bytes.length + chunkOverhead;
    }
    return chunks;
  };

  const refuse = (attempt: Attempt, error: NonNullable<LogAnswer['error']>): void => {
    attempt.logRefused = true;
    logger.error('the operator refuses the log of an attempt', {
      attempt: attempt.key,
      code: error.code,
      reason: error.message,
      action: error.action,
    });
  };

  /** True when the operator holds more than before. */
  const applyAnswer = async (answer: LogAnswer): Promise<boolean> => {
    const attempt = attempts.get(answer);
    if (attempt === undefined) return true;
    const before = attempt.logOffset;
    if (answer.error !== undefined && answer.error.code !== 'log_gap') refuse(attempt, answer.error);
    else attempt.logOffset = Math.min(answer.offset, journal.logLength(attempt.ref));
    await attempts.settle(attempt);
    return attempt.logRefused || attempt.logOffset > before;
  };

  const upload = async (chunks: readonly LogChunk[]): Promise<boolean> => {
    let response: LogsResponse | undefined;
    try {
      response = await persist((session) => api.logs(encodeLogBatch(chunks), session, stop));
    } catch (thrown) {
      const error = asOutriderError(thrown);
      logger.warn('an upload of logs was refused', problemFields(error));
      return false;
    }
    let progress = false;
    for (const answer of response?.attempts ?? []) progress = (await applyAnswer(answer)) || progress;
    return progress;
  };

  const due = (ref: AttemptRef): boolean => {
    const attempt = attempts.get(ref);
    return attempt !== undefined && (attempt.phase === 'Finished' || waiting(attempt) >= flushBytes);
  };
  const isDue = (): boolean => attempts.all().some((attempt) => waiting(attempt) > 0 && due(attempt.ref));

  /** After a pause the first line goes at once; a stream of lines goes every 100 ms, or by 64 KiB. */
  const pause = async (since: number): Promise<void> => {
    while (!stop.aborted && !isDue()) {
      const rest = since + flushMs - performance.now();
      if (rest <= 0) return;
      await wakeup.wait(stop, rest);
    }
  };

  const runOnce = async (backoff: ReturnType<typeof createBackoff>): Promise<void> => {
    const chunks = await collect();
    if (chunks.length === 0) return wakeup.wait(stop);
    const since = performance.now();
    if (await upload(chunks)) backoff.reset();
    else await sleep(backoff.next(), stop);
    await pause(since);
  };

  return {
    wake: () => wakeup.wake(),
    run: async () => {
      const unsubscribe = journal.onAppend(() => wakeup.wake());
      const backoff = createBackoff();
      try {
        while (!stop.aborted) {
          await runOnce(backoff).catch(async (error: unknown) => {
            logger.error('a log could not be read from the journal', { reason: String(error) });
            await sleep(Math.max(1000, backoff.next()), stop);
          });
        }
      } finally {
        unsubscribe();
      }
    },
  };
};
