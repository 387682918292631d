import type { CommandName, Ledger } from '../ledger.ts';
import { startWorker, workerUrl } from './worker-client.ts';

type MethodName = CommandName | 'diagnostics';

/**
 * Opens (or makes) the ledger in a file, in a worker thread of its own; the file is locked against other processes until
 * `close`. Every method resolves after its commit is on the disk.
 * @throws OutriderError Unavailable when another process has the file, it is damaged, its volume cannot be written, or its
 * schema is more than one version newer than this operator's.
 */
export const openSqliteLedger = async ({ file }: { file: string }): Promise<Ledger> => {
  const url = workerUrl(import.meta.url, './worker.ts', './ledger-worker.js');
  const worker = await startWorker<string>({ what: `ledger ${file}`, url, workerData: { file } });
  // The worker runs the function of this name in commands/index.ts, which has the method's own type.
  const method = <Name extends MethodName>(name: Name): Ledger[Name] =>
    ((...args: unknown[]) => worker.call(name, args)) as Ledger[Name];
  let generation = worker.opened;
  const readMeta = method('readMeta');
  const enterRecovery = method('enterRecovery');
  return {
    get generation() {
      return generation;
    },
    // One operator, one file, and no way to tell a copy of it.
    restored: undefined,
    onRestored: () => () => undefined,
    onChange: () => () => undefined,
    readMeta,
    advanceSequence: method('advanceSequence'),
    takeTerm: method('takeTerm'),
    createRun: method('createRun'),
    readRun: method('readRun'),
    readTask: method('readTask'),
    openRuns: method('openRuns'),
    listRuns: method('listRuns'),
    changedSince: method('changedSince'),
    applyPlan: method('applyPlan'),
    requestCancel: method('requestCancel'),
    setPaused: method('setPaused'),
    decide: method('decide'),
    offerTasks: method('offerTasks'),
    acceptAttempts: method('acceptAttempts'),
    recordReports: method('recordReports'),
    renewLeases: method('renewLeases'),
    openSession: method('openSession'),
    readSession: method('readSession'),
    currentSessions: method('currentSessions'),
    noteContacts: method('noteContacts'),
    listContacts: method('listContacts'),
    expire: method('expire'),
    markUnknown: method('markUnknown'),
    learnHostKey: method('learnHostKey'),
    listLocks: method('listLocks'),
    enterRecovery: async (command) => {
      const changed = await enterRecovery(command);
      ({ generation } = await readMeta());
      return changed;
    },
    recordRecovery: method('recordRecovery'),
    leaveRecovery: method('leaveRecovery'),
    createRegistrationToken: method('createRegistrationToken'),
    redeemRegistrationToken: method('redeemRegistrationToken'),
    putRunnerIdentity: method('putRunnerIdentity'),
    readRunnerIdentity: method('readRunnerIdentity'),
    listRunnerIdentities: method('listRunnerIdentities'),
    revokeRunnerIdentity: method('revokeRunnerIdentity'),
    audit: method('audit'),
    listAudit: method('listAudit'),
    prune: method('prune'),
    diagnostics: method('diagnostics'),
    close: () => worker.close(),
  };
};
