import {
  attemptKey,
  maxBatch,
  type AttemptAnswer,
  type Offer,
  type Report,
  type ReportsResponse,
} from '@outrider/protocol';
import type { RunnerApi } from './api.ts';
import { problemFields, type Logger } from './log.ts';
import { asOutriderError, type Persist } from './persist.ts';
import { createBackoff, createWakeup, sleep } from './waits.ts';

export interface Reports {
  /** Resolves with the operator's answer, however long that takes; undefined when the runner stops first. */
  send(report: Report): Promise<AttemptAnswer | undefined>;
  /** Reports without an answer. */
  readonly pending: number;
  /** Ends on stop. */
  run(): Promise<void>;
}

interface Queued {
  readonly report: Report;
  readonly answer: (answer: AttemptAnswer | undefined) => void;
}

export interface ReportLoopOptions {
  readonly api: Pick<RunnerApi, 'report'>;
  readonly persist: Persist;
  /** Slots for which the answer may bring offers. */
  readonly free: () => number;
  readonly offers: (offers: readonly Offer[]) => void;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

/** Answers come in the order of the reports; one attempt may have two in a batch. */
const matchAnswers = (
  batch: readonly Queued[],
  answers: readonly AttemptAnswer[],
): (AttemptAnswer | undefined)[] => {
  const keys = answers.map(attemptKey);
  const inOrder =
    answers.length === batch.length && batch.every((item, i) => attemptKey(item.report) === keys[i]);
  return batch.map((item, i) => answers[inOrder ? i : keys.indexOf(attemptKey(item.report))]);
};

/** The lane of results: one request in flight with all that waits (at most 64), repeated until it is answered. */
export const createReportLoop = (options: ReportLoopOptions): Reports => {
  const { api, persist, stop, logger } = options;
  const queue: Queued[] = [];
  const wakeup = createWakeup();

  const deliver = (batch: readonly Queued[]): Promise<ReportsResponse | undefined> =>
    persist((session) =>
      api.report(
        {
          session: session.session,
          generation: session.generation,
          reports: batch.map((item) => item.report),
          free: options.free(),
        },
        stop,
      ),
    );

  const drop = (item: Queued, thrown: unknown): void => {
    const error = asOutriderError(thrown);
    const { task, epoch } = item.report;
    logger.error('the operator cannot take a report', {
      attempt: attemptKey(item.report),
      ...problemFields(error),
    });
    const { code, message, action } = error;
    item.answer({ task, epoch, status: 'Refused', error: { code, message, action } });
  };

  /** A batch that is refused as a whole is sent one by one, so that one bad report cannot hold up the others. */
  const sendBatch = async (batch: readonly Queued[]): Promise<readonly Queued[]> => {
    let response: ReportsResponse | undefined;
    try {
      response = await deliver(batch);
    } catch (thrown) {
      const [first] = batch;
      if (batch.length === 1 && first !== undefined) {
        drop(first, thrown);
        return [];
      }
      const left: Queued[] = [];
      for (const item of batch) left.push(...(await sendBatch([item])));
      return left;
    }
    if (response === undefined) return batch;
    options.offers(response.offers);
    const answers = matchAnswers(batch, response.reports);
    return batch.filter((item, i) => {
      const answer = answers[i];
      if (answer !== undefined) item.answer(answer);
      return answer === undefined;
    });
  };

  return {
    send: (report) =>
      new Promise((answer) => {
        if (stop.aborted) return answer(undefined);
        queue.push({ report, answer });
        wakeup.wake();
      }),
    get pending() {
      return queue.length;
    },
    run: async () => {
      const backoff = createBackoff();
      while (!stop.aborted) {
        if (queue.length === 0) await wakeup.wait(stop);
        const batch = queue.slice(0, maxBatch);
        if (batch.length === 0 || stop.aborted) continue;
        const left = await sendBatch(batch);
        queue.splice(0, batch.length, ...left);
        if (left.length === 0) backoff.reset();
        else await sleep(backoff.next(), stop);
      }
      for (const item of queue.splice(0)) item.answer(undefined);
    },
  };
};
