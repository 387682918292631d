import {
  attemptKey,
  type InventoryAnswer,
  type InventoryItem,
  type SessionResponse,
} from '@outrider/protocol';
import { isReattachable } from '@outrider/nodes/contract';
import type { ExecutionHost } from '../execution/contract.ts';
import type { Journal, JournalledAttempt } from '../journal/contract.ts';
import type { Attempt, Attempts } from './attempts.ts';
import type { LogLoop } from './log-loop.ts';
import type { Logger } from './log.ts';
import type { Results, UnloggedResult } from './results.ts';
import { resumptionOf } from './resumption.ts';
import type { Starter } from './start.ts';

/** Most that a session request carries; the most telling come first. */
const maxInventory = 1000;
const order = { Started: 0, Accepted: 1, Finished: 2 } as const;

/** What the journal holds that the operator has not acknowledged. */
export const inventoryOf = (journal: Pick<Journal, 'attempts'>): InventoryItem[] =>
  journal
    .attempts()
    .flatMap(({ task, epoch, generation, state }) =>
      state === 'Acknowledged' ? [] : [{ task, epoch, generation, state }],
    )
    .sort((a, b) => order[a.state] - order[b.state])
    .slice(0, maxInventory);

export interface Recovery {
  /** Applies what the operator decided on the inventory: in a new session of this process, or after a restart. */
  apply(response: SessionResponse): void;
}

export interface RecoveryOptions {
  readonly journal: Journal;
  readonly host: Pick<ExecutionHost, 'reap'>;
  readonly attempts: Attempts;
  readonly results: Results;
  readonly starter: Pick<Starter, 'release' | 'resume' | 'rerun' | 'tidy'>;
  readonly logs: LogLoop;
  readonly logger: Logger;
}

/** The true result of work whose process died with the runner is not known, and none is claimed. */
const lostResult = (item: JournalledAttempt, gone: boolean): UnloggedResult => {
  const now = new Date().toISOString();
  return {
    outcome: 'Failed',
    reason: 'Lost',
    message: gone
      ? 'The runner was restarted while this ran; what it had left running was ended. How far it got is not known.'
      : 'The runner was restarted while this ran; whether what it left behind still runs could not be checked.',
    ...(gone ? {} : { unconfirmed: true }),
    startedAt: item.startedAt ?? now,
  };
};

export const createRecovery = (options: RecoveryOptions): Recovery => {
  const { journal, host, attempts, results, starter, logs, logger } = options;

  const reap = async (item: JournalledAttempt): Promise<boolean> => {
    if (item.handle === undefined) return false;
    try {
      return await host.reap(item.spec.node, item.handle);
    } catch (error) {
      logger.warn('what an earlier process left running could not be ended', {
        attempt: attemptKey(item),
        reason: String(error),
      });
      return false;
    }
  };

  /**
   * Every executor journals its handle before it lets anything of the user's go. Without one nothing has run: the same attempt,
   * which the operator knows to have started, begins now.
   */
  const hasNotBegun = (item: JournalledAttempt): boolean => item.handle === undefined && item.logLength === 0;

  const adoptStarted = async (attempt: Attempt, item: JournalledAttempt): Promise<void> => {
    const resumption = await resumptionOf(journal, item);
    if (resumption !== undefined) return starter.resume(attempt, resumption);
    if (hasNotBegun(item)) return starter.rerun(attempt, item.startedAt ?? new Date().toISOString());
    const gone = await reap(item);
    logger.warn('this attempt ran when the runner ended', { attempt: attempt.key, ended: gone });
    await results.finish(attempt, await results.seal(item, lostResult(item, gone)));
  };

  /** Takes over what an earlier process of this runner had accepted. */
  const adopt = async (item: JournalledAttempt, logOffset: number): Promise<void> => {
    const attempt = attempts.add(item, item.spec, item.state === 'Accepted' ? 'Starting' : 'Running');
    if (attempt === undefined) return;
    attempt.logOffset = Math.min(logOffset, item.logLength);
    if (item.state === 'Accepted') return starter.release(attempt);
    if (item.result === undefined) return adoptStarted(attempt, item);
    if (item.handle !== undefined && isReattachable(item.handle)) await starter.tidy(attempt, item.handle);
    results.report(attempt, item.result);
  };

  const abandon = async (item: JournalledAttempt, answer: InventoryAnswer): Promise<void> => {
    logger.warn('the operator gave up an attempt', {
      attempt: attemptKey(item),
      reason: answer.error?.message ?? 'it is no longer this runner’s',
    });
    const attempt = attempts.get(item);
    // What runs, or is being accepted, ends by itself once it is stopped, and is forgotten there.
    if (attempt !== undefined && attempt.phase !== 'Finished') return attempt.stop.abort('Abandoned');
    if (attempt !== undefined) attempts.remove(attempt);
    else if (item.state === 'Started') await reap(item);
    await journal.forget(item);
  };

  const applyOne = async (item: JournalledAttempt, answer: InventoryAnswer): Promise<void> => {
    if (answer.decision === 'Abandon') return abandon(item, answer);
    const attempt = attempts.get(item);
    if (attempt === undefined) return adopt(item, answer.logOffset);
    attempt.logOffset = Math.min(answer.logOffset, item.logLength);
    logs.wake();
  };

  return {
    apply: (response) => {
      const held = new Map(journal.attempts().map((item) => [attemptKey(item), item]));
      for (const answer of response.attempts) {
        const item = held.get(attemptKey(answer));
        if (item === undefined || item.state === 'Acknowledged') continue;
        applyOne(item, answer).catch((error: unknown) => {
          logger.error('an attempt could not be taken over', {
            attempt: attemptKey(item),
            reason: String(error),
          });
        });
      }
    },
  };
};
