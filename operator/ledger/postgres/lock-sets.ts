import type { CommandName, Ledger } from '../ledger.ts';

/**
 * What a command touches, by name. Commands whose sets do not meet run at the same time, in one transaction or in two; others
 * one after the other. README.md says why that is enough at READ COMMITTED.
 */
export interface LockSet {
  /** Nobody else may read or write what these stand for. */
  readonly keys: readonly string[];
  /** Others may read it, too. */
  readonly shared: readonly string[];
  /** Tasks that it names: they, their runs and what they lock belong to the set. */
  readonly tasks: readonly string[];
  /** Runners all of whose held tasks belong to the set. */
  readonly holders: readonly string[];
  /** It counts what the namespaces of its tasks have at work. */
  readonly countsNamespaces?: boolean;
  /** It may touch every task with a deadline up to this time. */
  readonly dueAt?: number;
  /** In a transaction of its own. */
  readonly alone?: boolean;
  /** It changes what every other command reads first (term, generation, recovery): none is at work beside it. */
  readonly everything?: boolean;
}

export const readNames = [
  'readMeta',
  'readRun',
  'readTask',
  'openRuns',
  'listRuns',
  'changedSince',
  'readSession',
  'currentSessions',
  'listContacts',
  'listLocks',
  'readRunnerIdentity',
  'listRunnerIdentities',
  'listAudit',
] as const satisfies readonly CommandName[];
export type ReadName = (typeof readNames)[number];

/** Those that read with more than one statement, and need all of them to see the same. */
export const snapshotReads: ReadonlySet<string> = new Set<ReadName>(['readRun', 'openRuns', 'changedSince']);

export type WriteName = Exclude<CommandName, ReadName>;

const nothing: LockSet = { keys: [], shared: [], tasks: [], holders: [] };
const alone: LockSet = { ...nothing, alone: true };
const everything: LockSet = { ...alone, everything: true };

const keysOnly = (...keys: readonly string[]): LockSet => ({ ...nothing, keys });
const ofRun = (uid: string): LockSet => keysOnly(runKey(uid));
const ofSpeaker = (by: { clientId: string }, refs: readonly { task: string }[]): LockSet => ({
  ...nothing,
  shared: [sessionKey(by.clientId)],
  tasks: refs.map(({ task }) => task),
});

// The names that commands ask for by themselves (tx.lock) are theirs; the others are of this folder alone.
export const runKey = (uid: string): string => `run/${uid}`;
export const taskKey = (id: string): string => `task/${id}`;
const sessionKey = (clientId: string): string => `session/${clientId}`;
const nameKey = (namespace: string, name: string): string => `run/${namespace}/${name}`;
export const placeKey = (lockKey: string): string => `lock/${lockKey}`;
export const namespaceKey = (namespace: string): string => `namespace/${namespace}`;

type LockSets = { readonly [Name in WriteName]: (...args: Parameters<Ledger[Name]>) => LockSet };

const lockSets: LockSets = {
  takeTerm: () => everything,
  advanceSequence: () => everything,
  enterRecovery: () => everything,
  leaveRecovery: () => everything,
  createRun: ({ run }) => keysOnly(runKey(run.uid), nameKey(run.namespace, run.name)),
  applyPlan: ({ runUid, transitions }) => ({
    ...ofRun(runUid),
    tasks: transitions.map(({ task }) => task),
  }),
  requestCancel: (runUid) => ofRun(runUid),
  setPaused: ({ runUid }) => ofRun(runUid),
  decide: ({ runUid, uid }) => keysOnly(runKey(runUid), `decision/${uid}`),
  offerTasks: ({ to, tasks, namespaceLimit = 0 }) => ({
    ...ofSpeaker(to, tasks),
    countsNamespaces: namespaceLimit > 0,
  }),
  acceptAttempts: ({ by, attempts }) => ofSpeaker(by, attempts),
  recordReports: ({ by, reports }) => ofSpeaker(by, reports),
  renewLeases: ({ by, attempts }) => ofSpeaker(by, attempts),
  openSession: ({ by, inventory }) => ({
    ...ofSpeaker(by, inventory),
    ...keysOnly(sessionKey(by.clientId)),
    tasks: inventory.map(({ task }) => task),
    holders: [by.clientId],
  }),
  recordRecovery: ({ by, items }) => ofSpeaker(by, items),
  markUnknown: ({ attempts }) => ({ ...nothing, tasks: attempts.map(({ task }) => task) }),
  expire: ({ now }) => ({ ...alone, dueAt: now }),
  noteContacts: () => keysOnly('contacts'),
  learnHostKey: ({ namespace, host, port }) => keysOnly(`host/${namespace}/${host}:${port}`),
  createRegistrationToken: ({ hash }) => keysOnly(`token/${hash}`),
  redeemRegistrationToken: ({ hash }) => keysOnly(`token/${hash}`),
  putRunnerIdentity: ({ clientId }) => keysOnly(`identity/${clientId}`),
  revokeRunnerIdentity: ({ clientId }) => keysOnly(`identity/${clientId}`),
  audit: () => nothing,
  prune: () => alone,
};

const byName = new Map(Object.entries(lockSets));

/** The set of a command whose arguments the typed client checked. */
export const lockSetOf = (name: string, args: readonly unknown[]): LockSet => {
  const of = byName.get(name) as ((...args: readonly unknown[]) => LockSet) | undefined;
  return of === undefined ? everything : of(...args);
};
