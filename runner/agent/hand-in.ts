import { maxBatch, type RecoveredResult, type SessionResponse } from '@outrider/protocol';
import type { Journal } from '../journal/contract.ts';
import type { RunnerApi } from './api.ts';
import { problemFields, type Logger } from './log.ts';
import { asOutriderError, type Persist } from './persist.ts';

/** Results that were acknowledged and are kept: what a restored ledger may have forgotten. */
export const keptResults = (journal: Pick<Journal, 'attempts'>): RecoveredResult[] =>
  journal
    .attempts()
    .flatMap(({ task, epoch, generation, state, result }) =>
      state === 'Acknowledged' && result !== undefined ? [{ task, epoch, generation, result }] : [],
    );

export interface HandIn {
  /** Hands the kept results in when the session says that the ledger was restored. Never rejects. */
  apply(response: SessionResponse): void;
}

export interface HandInOptions {
  readonly api: Pick<RunnerApi, 'recover'>;
  readonly persist: Persist;
  readonly journal: Pick<Journal, 'attempts'>;
  readonly stop: AbortSignal;
  readonly logger: Logger;
}

/** Batch by batch, oldest first; one hand-in a session, so that a later session begins anew. */
export const createHandIn = (options: HandInOptions): HandIn => {
  const { api, persist, journal, stop, logger } = options;
  let current: string | undefined;

  const run = async (session: string): Promise<void> => {
    const results = keptResults(journal);
    const wanted = (): boolean => current === session;
    let accepted = 0;
    // An empty batch says, too, that there is no more.
    for (let from = 0; from === 0 || from < results.length; from += maxBatch) {
      const items = results.slice(from, from + maxBatch);
      const complete = from + maxBatch >= results.length;
      const answer = await persist(
        (opened) =>
          api.recover({ session: opened.session, generation: opened.generation, items, complete }, stop),
        wanted,
      );
      if (answer === undefined) return;
      accepted += answer.accepted;
    }
    logger.info('the operator restores its ledger: kept results were handed in', {
      results: results.length,
      accepted,
    });
  };

  return {
    apply: ({ session, recovering }) => {
      current = session;
      if (recovering !== true) return;
      run(session).catch((thrown: unknown) => {
        logger.error('kept results could not be handed in', problemFields(asOutriderError(thrown)));
      });
    },
  };
};
