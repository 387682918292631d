import { OutriderError } from '@outrider/protocol';
import type { Ledger } from '../ledger/ledger.ts';

/**
 * The ledger as the leader of this term uses it: its commands carry the term, and everything else is the ledger's own. A Lease
 * alone does not fence; the ledger refuses the commands of a leader that has been followed by another.
 * @param onSuperseded Called, at every such command, when the ledger has refused one with TermSuperseded.
 */
export const leadingLedger = (ledger: Ledger, term: number, onSuperseded: () => void): Ledger => {
  const heeding = async <T>(answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof OutriderError && error.code === 'TermSuperseded') onSuperseded();
      throw error;
    }
  };
  const ofLeader: Partial<Ledger> = {
    advanceSequence: () => heeding(ledger.advanceSequence({ term })),
    createRun: (command) => heeding(ledger.createRun({ ...command, term })),
    applyPlan: (plan, now) => heeding(ledger.applyPlan(plan, now, term)),
    requestCancel: (runUid, now) => heeding(ledger.requestCancel(runUid, now, term)),
    setPaused: (command) => heeding(ledger.setPaused({ ...command, term })),
    decide: (command) => heeding(ledger.decide({ ...command, term })),
    expire: (command) => heeding(ledger.expire({ ...command, term })),
    enterRecovery: (command) => heeding(ledger.enterRecovery({ ...command, term })),
    leaveRecovery: (command) => heeding(ledger.leaveRecovery({ ...command, term })),
    prune: (command) => heeding(ledger.prune({ ...command, term })),
  };
  // What is not of the leader alone is found in the ledger itself: its generation, too, which changes with a recovery.
  const leading: Ledger = Object.create(ledger);
  return Object.assign(leading, ofLeader);
};
