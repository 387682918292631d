import type {
  AttemptAnswer,
  InventoryAnswer,
  InventoryItem,
  Problem,
  RecoveredResult,
  Report,
} from '@outrider/protocol';
import type {
  AttemptRef,
  AuditRecord,
  Decision,
  LedgerMeta,
  LockRecord,
  Millis,
  NewRun,
  NewTask,
  Plan,
  RegistrationTokenRecord,
  RunAndTasks,
  RunnerContact,
  RunnerIdentityRecord,
  RunRecord,
  SessionHello,
  SessionRecord,
  TaskRecord,
} from './records.ts';

/** Who speaks: a message of an older session of the same key is refused with SessionSuperseded. */
export interface Speaker {
  readonly clientId: string;
  readonly runnerName: string;
  readonly session: string;
}

/** Every command that touches tasks returns them as they are after its commit. */
export interface Changed {
  readonly tasks: readonly TaskRecord[];
}

/** A Ready task that could not be offered now, and why. */
export interface NotOffered {
  readonly task: string;
  readonly reason: 'TargetBusy' | 'QuotaReached' | 'BackOff' | 'Paused';
  /** What is full: the lock's key, or the namespace. */
  readonly key?: string;
  /** When it may be offered at the earliest, where that is known. */
  readonly retryAt?: Millis;
}

/**
 * Commands of the leader carry its term where several replicas share a ledger; one that is older than the ledger's is refused
 * with TermSuperseded, and changes nothing.
 */
interface ByLeader {
  readonly term?: number;
}

/**
 * The ledger: what happened, durable before it is answered. Each command is one transaction (or a savepoint in a group
 * commit); nothing outside this folder sees SQL. `now` is always passed in. SQLite is one implementation, PostgreSQL the next;
 * one suite tests both. Every write compares (generation, task, epoch, state): see the table of states in README.md beside.
 */
export interface Ledger {
  /** Random, made with the ledger, made anew by `enterRecovery`: every message of a runner names it. */
  readonly generation: string;
  /**
   * Why the data are not what this product wrote last, found when the ledger was opened: another server or another timeline,
   * so a backup was restored or a standby promoted. It says so until `enterRecovery`. SQLite cannot tell: always undefined.
   */
  readonly restored: string | undefined;
  /**
   * The same, found at work, after the connection was lost: every call is refused from then on, so the operator has to start
   * again. Returns the unsubscribe function.
   */
  onRestored(listener: (error: Error) => void): () => void;
  /**
   * Tasks that other operators on the same ledger changed, as they are now, within milliseconds, after a lost notification
   * within a second. In an order that fits this ledger's own answers: what is told was never older than the last answer.
   * Some may be told twice. Listeners must not throw. Returns the unsubscribe function. SQLite has one operator: never called.
   */
  onChange(listener: (tasks: readonly TaskRecord[]) => void): () => void;
  readMeta(): Promise<LedgerMeta>;
  /** One more than ever, and durable. Kept elsewhere too, it tells a copy of the ledger that was put back. */
  advanceSequence(command: ByLeader): Promise<number>;
  /** A new leader: commands of the one before are refused from the commit on. */
  takeTerm(): Promise<number>;

  /**
   * Freezes a run: all tasks Pending. `Exists`: this uid is known (the stored run is returned, nothing changes).
   * `AlreadyRan`: another uid with the same namespace, name and spec digest ran before (the tombstone is 30 days).
   * @throws OutriderError RecoveryActive
   */
  createRun(
    command: ByLeader & { run: NewRun; tasks: readonly NewTask[] },
  ): Promise<{ outcome: 'Created' | 'Exists' | 'AlreadyRan'; run: RunRecord }>;
  readRun(uid: string): Promise<RunAndTasks | undefined>;
  readTask(id: string): Promise<TaskRecord | undefined>;
  /** Runs that are not final, for the operator's start. */
  openRuns(): Promise<readonly RunAndTasks[]>;
  /** Newest first. `before` is the createdAt of the last one seen. */
  listRuns(query: {
    namespace?: string;
    workflow?: string;
    limit: number;
    before?: Millis;
  }): Promise<readonly RunRecord[]>;
  /** The run, and of its tasks those that were written after this revision, probes too. Undefined when the run is unknown. */
  changedSince(query: { uid: string; revision: number }): Promise<RunAndTasks | undefined>;
  /**
   * `applied` is false, and nothing changed, when the revision is not the current one. Answers with the tasks that it wrote.
   * @throws OutriderError StateMismatch, RecoveryActive
   */
  applyPlan(plan: Plan, now: Millis, term?: number): Promise<{ applied: boolean } & RunAndTasks>;
  /** Sets the flag on the run and on every task that is not final. Idempotent. */
  requestCancel(runUid: string, now: Millis, term?: number): Promise<Changed>;
  /** Paused: Ready → Blocked, and nothing new is offered; what runs goes on. Else Blocked → Ready with its whole queue time. */
  setPaused(command: ByLeader & { runUid: string; paused: boolean; now: Millis }): Promise<Changed>;
  /**
   * What a person decided about the attempt `epoch` of a task. AwaitingHuman → Succeeded, Failed, or Ready for another attempt;
   * Release frees the place that an attempt of unconfirmed end still takes. The same `uid` again gets the same answer.
   * `problem` (NotFound, EpochMismatch, StateMismatch): nothing changed.
   */
  decide(
    command: ByLeader & {
      uid: string;
      runUid: string;
      step: string;
      target: string;
      epoch: number;
      decision: Decision;
      by: string;
      reason: string;
      now: Millis;
    },
  ): Promise<Changed & { problem?: Problem }>;

  /**
   * Ready → Offered(e+1), taking a place of what the task locks. `refused` names tasks that are not Ready at that epoch any
   * more; `waiting` those that stay Ready: the lock is full, their namespace has `namespaceLimit` attempts held (0: no limit),
   * their back-off is not over, or their run is paused.
   * @throws OutriderError SessionUnknown, SessionSuperseded, RecoveryActive: then all of them stay Ready.
   */
  offerTasks(command: {
    to: Speaker;
    tasks: readonly { task: string; epoch: number }[];
    now: Millis;
    expiresAt: Millis;
    namespaceLimit?: number;
  }): Promise<Changed & { refused: readonly string[]; waiting: readonly NotOffered[] }>;
  /** Offered → Claimed. Idempotent for the same session, task and epoch. Refused: OfferExpired, EpochMismatch, Cancelled, SessionSuperseded. */
  acceptAttempts(command: {
    by: Speaker;
    attempts: readonly AttemptRef[];
    now: Millis;
    leaseExpiresAt: Millis;
  }): Promise<Changed & { answers: readonly AttemptAnswer[] }>;
  /**
   * Claimed → Running (Started), Claimed/Offered → Ready or Cancelled (Released), Running/Claimed/Unknown → terminal (Result).
   * A failed or timed out attempt with retries left takes its task back to Ready, unless its end is unconfirmed or a cancel
   * was asked for. Results are exactly once: the same digest again is Duplicate, another one is Refused with result_conflict.
   * A result for an attempt that is over (its task is Lost, or on to the next epoch) is kept as evidence and answered Recorded.
   */
  recordReports(command: {
    by: Speaker;
    reports: readonly Report[];
    now: Millis;
  }): Promise<Changed & { answers: readonly AttemptAnswer[] }>;
  /** Extends leases of attempts that this session holds; others are left alone. `lost`: not (or no longer) its own. */
  renewLeases(command: {
    by: Speaker;
    attempts: readonly AttemptRef[];
    leaseExpiresAt: Millis;
  }): Promise<Changed & { lost: readonly AttemptRef[] }>;
  /**
   * A new session of a key supersedes the old one. Attempts in the inventory that the ledger holds for this key at the same
   * epoch go on under the new session (Unknown goes back to what the journal says); held ones that are missing from it
   * become Unknown; items that the ledger does not hold for it are answered Abandon. Finished ones are answered Continue
   * (their result is to come). In recovery, items of former generations vouch for restored tasks, which go on at the highest
   * epoch told. `ahead`: items of this generation with an epoch that this ledger has not given out, so it was restored.
   * A held task of a process that has died counts a crash; the third one fails it as Poisoned.
   */
  openSession(command: {
    by: Speaker;
    inventory: readonly InventoryItem[];
    now: Millis;
    leaseExpiresAt: Millis;
    hello?: SessionHello;
  }): Promise<Changed & { answers: readonly InventoryAnswer[]; ahead: readonly AttemptRef[] }>;
  /** Superseded ones too, until they are pruned. */
  readSession(session: string): Promise<SessionRecord | undefined>;
  /** One per key. */
  currentSessions(): Promise<readonly SessionRecord[]>;
  /** The last contact of each key, written together; an older one never replaces a newer one. */
  noteContacts(contacts: readonly RunnerContact[]): Promise<void>;
  listContacts(): Promise<readonly RunnerContact[]>;
  /**
   * Acts on every deadline that has passed: Offered → Ready; Ready → Failed (QueueTimeout); Blocked → Failed (Expired); Claimed
   * and Running → Unknown (lease); Unknown → what `onLost` says, `Retry` after the lease and `killGraceMs` (30 s), the others
   * after `graceMs` (Infinity: not now); Verifying → AwaitingHuman; AwaitingHuman → Lost; places of unconfirmed ends after a day.
   */
  expire(command: ByLeader & { now: Millis; graceMs: number; killGraceMs?: number }): Promise<Changed>;
  /** Claimed/Running of these attempts → Unknown at once: the runner twice did not list them as held. */
  markUnknown(command: { attempts: readonly AttemptRef[]; now: Millis; reason: string }): Promise<Changed>;

  /** The first key of a host is the one on record; later calls are answered with it. */
  learnHostKey(command: {
    namespace: string;
    host: string;
    port: number;
    key: string;
    runnerName: string;
    now: Millis;
  }): Promise<{ key: string; learned: boolean }>;
  /** Places that are taken: of one thing, or all whose holders' ends are unconfirmed. */
  listLocks(query: { key?: string }): Promise<readonly LockRecord[]>;

  /**
   * The ledger was put back from a copy: it gets `generation`, and every task of an open run becomes `uncertain`. Until
   * `leaveRecovery` nothing is offered, planned or created. Idempotent while in recovery.
   */
  enterRecovery(command: ByLeader & { generation: string; reason: string; now: Millis }): Promise<Changed>;
  /** Results that a runner had handed in before the copy was put back: they end their uncertain tasks. `accepted` counts these. */
  recordRecovery(command: {
    by: Speaker;
    items: readonly RecoveredResult[];
    now: Millis;
  }): Promise<Changed & { accepted: number }>;
  /** A person has confirmed: what nobody vouched for goes to AwaitingHuman, a Pending task when its turn comes. */
  leaveRecovery(command: ByLeader & { by: string; now: Millis }): Promise<Changed>;

  createRegistrationToken(record: Omit<RegistrationTokenRecord, 'clientId'>): Promise<void>;
  /** Binds the token to the key. The same pair may repeat; another key is Used; unknown and expired ones are told apart. */
  redeemRegistrationToken(command: {
    hash: string;
    clientId: string;
    now: Millis;
  }): Promise<
    | { outcome: 'Bound' | 'Repeated'; token: RegistrationTokenRecord }
    | { outcome: 'Unknown' | 'Expired' | 'Used' }
  >;
  putRunnerIdentity(record: RunnerIdentityRecord): Promise<void>;
  readRunnerIdentity(clientId: string): Promise<RunnerIdentityRecord | undefined>;
  listRunnerIdentities(of?: { namespace: string; name: string }): Promise<readonly RunnerIdentityRecord[]>;
  revokeRunnerIdentity(command: { clientId: string; now: Millis }): Promise<void>;

  audit(record: AuditRecord): Promise<void>;
  listAudit(query: { limit: number; object?: string }): Promise<readonly AuditRecord[]>;
  /** Removes finished runs, tombstones (30 days), tokens and sessions older than their retention. */
  prune(command: ByLeader & { now: Millis; runsOlderThan: Millis }): Promise<{ runs: number }>;
  /** Journal mode and the fsync time of the last commits, for the bench and metrics. */
  diagnostics(): Promise<{
    journalMode: string;
    synchronous: string;
    commits: number;
    commitMs: readonly number[];
  }>;
  close(): Promise<void>;
}

/** Methods that are commands, one transaction each; the others are the engine's own. */
export type CommandName = Exclude<
  keyof Ledger,
  'generation' | 'restored' | 'onRestored' | 'onChange' | 'diagnostics' | 'close'
>;
