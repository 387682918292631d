import { setTimeout as sleep } from 'node:timers/promises';
import type { Handle } from '@outrider/nodes/contract';
import { OutriderError, toProblem, type TaskResult } from '@outrider/protocol';
import type { CredentialSource } from '../secrets/credentials.ts';
import type { ExecutionHost, LearnHostKey, Resumption } from '../execution/contract.ts';
import type { Journal } from '../journal/contract.ts';
import { stopReason, type Attempt, type Attempts } from './attempts.ts';
import type { LeaseGuard } from './lease-guard.ts';
import { problemFields, type Logger } from './log.ts';
import type { Reports } from './report-loop.ts';
import {
  failedResult,
  leaseLostResult,
  stoppedResult,
  unreachedResult,
  type Results,
  type UnloggedResult,
} from './results.ts';

/** A result is not kept from the operator for longer. */
const tidyMs = 10_000;

export interface StartOptions {
  readonly journal: Journal;
  readonly host: ExecutionHost;
  readonly credentials: CredentialSource;
  /** Who is asked for the key of a host that is not known. */
  readonly hostKeys: (attempt: Attempt) => LearnHostKey;
  readonly attempts: Attempts;
  readonly reports: Reports;
  readonly results: Results;
  readonly guard: LeaseGuard;
  /** Node types that this runner's own configuration permits. */
  readonly nodes: readonly string[];
  /** Aborts when this process ends. */
  readonly stop: AbortSignal;
  /** False while draining: what has not started is released. */
  readonly taking: () => boolean;
  readonly logger: Logger;
}

export interface Starter {
  /** Runs an attempt that the operator has recorded as this runner's, to its journalled result. Never rejects. */
  start(attempt: Attempt): Promise<void>;
  /** Goes on with what an earlier process of this runner started, to its journalled result. */
  resume(attempt: Attempt, resumption: Resumption): Promise<void>;
  /** Runs what an earlier process had journalled as started, and had certainly not let go yet. */
  rerun(attempt: Attempt, startedAt: string): Promise<void>;
  /** Removes what an earlier process may have left of an attempt whose result is journalled; for a few seconds at most. */
  tidy(attempt: Attempt, handle: Handle): Promise<void>;
  /** Gives back what has not started. */
  release(attempt: Attempt): Promise<void>;
}

/** The operator gives no credential for what is being cancelled, or is no longer this runner's. */
const movedOn = (error: unknown): boolean =>
  error instanceof OutriderError && (error.code === 'StateMismatch' || error.code === 'EpochMismatch');

interface Ended {
  readonly result: TaskResult;
  readonly startLatencyUs?: number;
}

const ended = (attempt: Attempt, result: TaskResult): TaskResult =>
  stopReason(attempt) === 'LeaseLost' ? leaseLostResult(result) : result;

export const createStarter = (options: StartOptions): Starter => {
  const { journal, host, credentials, attempts, reports, results, guard, logger } = options;

  const forget = async (attempt: Attempt): Promise<void> => {
    attempts.remove(attempt);
    await journal.forget(attempt.ref);
  };

  const release = async (attempt: Attempt): Promise<void> => {
    attempts.remove(attempt);
    if (stopReason(attempt) !== 'Abandoned') {
      const answer = await reports.send({ ...attempt.ref, kind: 'Released' });
      // Untold: the next session's inventory names it.
      if (answer === undefined) return;
    }
    await journal.forget(attempt.ref);
  };

  const sealed = async (attempt: Attempt, result: UnloggedResult): Promise<Ended> => ({
    result: await results.seal(attempt.ref, result),
  });

  const failed = async (attempt: Attempt, startedAt: string, error: unknown): Promise<Ended> => {
    const problem = toProblem(error);
    logger.warn('could not be started', { attempt: attempt.key, ...problemFields(problem) });
    const result = failedResult(problem, startedAt);
    await results.note(attempt.ref, result.message ?? problem.message);
    return sealed(attempt, result);
  };

  const fetchCredential = async (
    attempt: Attempt,
    signal = attempt.stop.signal,
  ): Promise<Readonly<Record<string, string>> | undefined> => {
    const reference = attempt.spec.credential;
    if (reference === undefined) return undefined;
    return credentials.fetch(attempt.ref, reference, signal);
  };

  const enterExecutor = async (
    attempt: Attempt,
    credential: Readonly<Record<string, string>> | undefined,
    resume?: Resumption,
  ): Promise<Ended> => {
    let entered: number | undefined;
    const request = {
      ...attempt.ref,
      spec: attempt.spec,
      ...(credential === undefined ? {} : { credential }),
      ...(resume === undefined ? {} : { resume }),
    };
    const onEntry = (at: number): void => {
      entered = at - performance.timeOrigin;
    };
    const execution = host.execute(request, onEntry, options.hostKeys(attempt));
    const stop = (): void => {
      const reason = stopReason(attempt);
      if (reason === undefined || reason === 'HandedOver') return;
      host.stop(attempt.ref, reason === 'LeaseLost' ? 'Cancelled' : reason);
    };
    attempt.stop.signal.addEventListener('abort', stop, { once: true });
    stop();
    const result = ended(attempt, await execution);
    if (entered === undefined) return { result };
    return { result, startLatencyUs: Math.max(0, Math.round((entered - attempt.arrivedAt) * 1000)) };
  };

  const execute = async (attempt: Attempt, startedAt: string): Promise<Ended> => {
    const { node } = attempt.spec;
    if (!options.nodes.includes(node)) {
      const error = new OutriderError({
        code: 'NodeNotAllowed',
        message: `This runner's own configuration does not permit ${node}.`,
        action: `Add ${node} to \`nodes\` in the runner's configuration, or use another runner for this step.`,
      });
      return failed(attempt, startedAt, error);
    }
    try {
      const credential = await fetchCredential(attempt);
      // Time may have jumped since the start was journalled, and with it the attempt may be another runner's.
      await guard.ready();
      const stopped = stopReason(attempt);
      if (stopped !== undefined) return await sealed(attempt, stoppedResult(stopped, startedAt));
      return await enterExecutor(attempt, credential);
    } catch (error) {
      const stopped = stopReason(attempt) ?? (movedOn(error) ? 'Cancelled' : undefined);
      if (stopped !== undefined) return sealed(attempt, stoppedResult(stopped, startedAt));
      return failed(attempt, startedAt, error);
    }
  };

  /** From here on the attempt has started: only a result ends it. */
  const run = async (attempt: Attempt): Promise<void> => {
    const startedAt = new Date().toISOString();
    await journal.started(attempt.ref, startedAt);
    attempts.enter(attempt, 'Running');
    reports.send({ ...attempt.ref, kind: 'Started', startedAt }).then(
      (answer) => {
        if (answer?.status !== 'Refused') return;
        logger.warn('the operator refused a start', {
          attempt: attempt.key,
          reason: answer.error?.message ?? '',
        });
      },
      () => undefined,
    );
    await conclude(attempt, await execute(attempt, startedAt));
  };

  const conclude = async (attempt: Attempt, { result, startLatencyUs }: Ended): Promise<void> => {
    // Its journal says that it runs, and so it does.
    if (stopReason(attempt) === 'HandedOver') return;
    // Only assumed, since this process ends: the next one can look what has become of it.
    if (options.stop.aborted && result.unconfirmed === true) return;
    if (stopReason(attempt) === 'Abandoned') await forget(attempt);
    else await results.finish(attempt, result, startLatencyUs);
    host.settled(attempt.ref);
  };

  const resume = async (attempt: Attempt, resumption: Resumption): Promise<void> => {
    logger.info('going on with an attempt that ran when the runner ended', { attempt: attempt.key });
    try {
      // Also of what is to be stopped: it is ended on the target, and that takes a login.
      const credential = await fetchCredential(attempt, new AbortController().signal);
      await conclude(attempt, await enterExecutor(attempt, credential, resumption));
    } catch (error) {
      const problem = toProblem(error);
      logger.warn('could not be taken up again', { attempt: attempt.key, ...problemFields(problem) });
      await conclude(attempt, await sealed(attempt, unreachedResult(problem, resumption.startedAt)));
    }
  };

  const carry = (attempt: Attempt, work: Promise<void>): Promise<void> =>
    work.catch((error: unknown) => {
      logger.error('an attempt could not be carried through', {
        attempt: attempt.key,
        reason: String(error),
      });
    });

  const rerun = async (attempt: Attempt, startedAt: string): Promise<void> => {
    logger.info('beginning an attempt that had not begun when the runner ended', { attempt: attempt.key });
    await guard.ready();
    await conclude(attempt, await execute(attempt, startedAt));
  };

  /** The operator gives the credential for as long as it has not recorded the result. What cannot be reached removes itself after a day. */
  const tidy = async (attempt: Attempt, handle: Handle): Promise<void> => {
    try {
      const credential = await fetchCredential(attempt, AbortSignal.timeout(tidyMs));
      const { ref, spec } = attempt;
      const tidied = host.tidy({ ...ref, spec, ...(credential === undefined ? {} : { credential }) }, handle);
      const isDone = await Promise.race([tidied, sleep(tidyMs, false, { ref: false })]);
      if (!isDone) logger.warn('what was kept on the target could not be removed', { attempt: attempt.key });
    } catch (error) {
      // The result had been told, and the removal asked for before that.
      if (movedOn(error)) return;
      logger.warn('what was kept on the target could not be removed', {
        attempt: attempt.key,
        ...problemFields(toProblem(error)),
      });
    }
  };

  const start = async (attempt: Attempt): Promise<void> => {
    attempts.enter(attempt, 'Starting');
    await guard.ready();
    if (stopReason(attempt) !== undefined || !options.taking()) return release(attempt);
    return run(attempt);
  };

  return {
    release,
    resume: (attempt, resumption) => carry(attempt, resume(attempt, resumption)),
    rerun: (attempt, startedAt) => carry(attempt, rerun(attempt, startedAt)),
    tidy,
    start: (attempt) =>
      start(attempt).catch(async (error: unknown) => {
        logger.error('an attempt could not be carried through', {
          attempt: attempt.key,
          reason: String(error),
        });
        // `started` could not be journalled, so nothing has run: the slot goes back.
        if (attempt.phase === 'Starting') await release(attempt).catch(() => undefined);
      }),
  };
};
