import type { CommandName, Ledger } from '../ledger.ts';
import type { Tx } from '../tables.ts';
import { acceptAttempts } from './accept-attempts.ts';
import { applyPlan } from './apply-plan.ts';
import { audit, listAudit } from './audit.ts';
import { listContacts, noteContacts } from './contacts.ts';
import { createRun } from './create-run.ts';
import { decide } from './decide.ts';
import { expire } from './expire.ts';
import { learnHostKey } from './learn-host-key.ts';
import { listLocks } from './locks.ts';
import { markUnknown } from './mark-unknown.ts';
import { advanceSequence, readMeta, takeTerm } from './meta.ts';
import { offerTasks } from './offer-tasks.ts';
import { openSession } from './open-session.ts';
import { prune } from './prune.ts';
import { changedSince, listRuns, openRuns, readRun, readTask } from './read-runs.ts';
import { recordReports } from './record-reports.ts';
import { recordRecovery } from './recovered.ts';
import { enterRecovery, leaveRecovery } from './recovery.ts';
import { createRegistrationToken, redeemRegistrationToken } from './registration-tokens.ts';
import { renewLeases } from './renew-leases.ts';
import { requestCancel } from './request-cancel.ts';
import {
  listRunnerIdentities,
  putRunnerIdentity,
  readRunnerIdentity,
  revokeRunnerIdentity,
} from './runner-identities.ts';
import { currentSessions, readSession } from './sessions.ts';
import { setPaused } from './set-paused.ts';

type Commands = {
  readonly [K in CommandName]: (tx: Tx, ...args: Parameters<Ledger[K]>) => ReturnType<Ledger[K]>;
};

/** Every method of the ledger as a function of an open transaction: what each implementation runs. */
export const commands: Commands = {
  readMeta,
  advanceSequence,
  takeTerm,
  createRun,
  readRun,
  readTask,
  openRuns,
  listRuns,
  changedSince,
  applyPlan,
  requestCancel,
  setPaused,
  decide,
  offerTasks,
  acceptAttempts,
  recordReports,
  renewLeases,
  openSession,
  readSession,
  currentSessions,
  noteContacts,
  listContacts,
  expire,
  markUnknown,
  learnHostKey,
  listLocks,
  enterRecovery,
  recordRecovery,
  leaveRecovery,
  createRegistrationToken,
  redeemRegistrationToken,
  putRunnerIdentity,
  readRunnerIdentity,
  listRunnerIdentities,
  revokeRunnerIdentity,
  audit,
  listAudit,
  prune,
};

const byName = new Map(Object.entries(commands));

/** Runs the command of this name with arguments that the typed client checked. */
export const runCommand = async (tx: Tx, name: string, args: readonly unknown[]): Promise<unknown> => {
  const command = byName.get(name) as ((tx: Tx, ...args: readonly unknown[]) => Promise<unknown>) | undefined;
  if (command === undefined) throw new Error(`the ledger has no command ${name}`);
  return command(tx, ...args);
};
