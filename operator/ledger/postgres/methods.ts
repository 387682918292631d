import type { Ledger } from '../ledger.ts';
import type { ReadName, WriteName } from './lock-sets.ts';

type Run = (name: string, args: readonly unknown[]) => Promise<unknown>;

/** The ledger's methods by way of their names: the command of the same name in commands/index.ts has the method's own type. */
export const ledgerMethods = (read: Run, write: Run): Pick<Ledger, ReadName | WriteName> => {
  const reads = <Name extends ReadName>(name: Name): Ledger[Name] =>
    ((...args: unknown[]) => read(name, args)) as Ledger[Name];
  const writes = <Name extends WriteName>(name: Name): Ledger[Name] =>
    ((...args: unknown[]) => write(name, args)) as Ledger[Name];
  return {
    readMeta: reads('readMeta'),
    readRun: reads('readRun'),
    readTask: reads('readTask'),
    openRuns: reads('openRuns'),
    listRuns: reads('listRuns'),
    changedSince: reads('changedSince'),
    readSession: reads('readSession'),
    currentSessions: reads('currentSessions'),
    listContacts: reads('listContacts'),
    listLocks: reads('listLocks'),
    readRunnerIdentity: reads('readRunnerIdentity'),
    listRunnerIdentities: reads('listRunnerIdentities'),
    listAudit: reads('listAudit'),
    takeTerm: writes('takeTerm'),
    advanceSequence: writes('advanceSequence'),
    createRun: writes('createRun'),
    applyPlan: writes('applyPlan'),
    requestCancel: writes('requestCancel'),
    setPaused: writes('setPaused'),
    decide: writes('decide'),
    offerTasks: writes('offerTasks'),
    acceptAttempts: writes('acceptAttempts'),
    recordReports: writes('recordReports'),
    renewLeases: writes('renewLeases'),
    openSession: writes('openSession'),
    noteContacts: writes('noteContacts'),
    expire: writes('expire'),
    markUnknown: writes('markUnknown'),
    learnHostKey: writes('learnHostKey'),
    enterRecovery: writes('enterRecovery'),
    recordRecovery: writes('recordRecovery'),
    leaveRecovery: writes('leaveRecovery'),
    createRegistrationToken: writes('createRegistrationToken'),
    redeemRegistrationToken: writes('redeemRegistrationToken'),
    putRunnerIdentity: writes('putRunnerIdentity'),
    revokeRunnerIdentity: writes('revokeRunnerIdentity'),
    audit: writes('audit'),
    prune: writes('prune'),
  };
};
