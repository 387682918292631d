import type { AttemptAnswer, InventoryAnswer, InventoryItem, Report } from '@outrider/protocol';
import type {
  AttemptRef,
  AuditRecord,
  Millis,
  NewRun,
  NewTask,
  Plan,
  RegistrationTokenRecord,
  RunAndTasks,
  RunnerIdentityRecord,
  RunRecord,
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

/**
 * The ledger: what happened, durable before it is answered. Each command is one transaction (or a savepoint in a group
 * commit); nothing outside this folder sees SQL. `now` is always passed in. SQLite is one implementation, PostgreSQL the next;
 * one suite tests both. Every write compares (generation, task, epoch, state): see the table of states in README.md beside.
 */
export interface Ledger {
  /** Random, made with the ledger; a restored ledger is told apart by it. */
  readonly generation: string;

  /**
   * Freezes a run: all tasks Pending. `Exists`: this uid is known (the stored run is returned, nothing changes).
   * `AlreadyRan`: another uid with the same namespace, name and spec digest ran before (the tombstone is 30 days).
   */
  createRun(command: {
    run: NewRun;
    tasks: readonly NewTask[];
  }): Promise<{ outcome: 'Created' | 'Exists' | 'AlreadyRan'; run: RunRecord }>;
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
  /** `applied` is false, and nothing changed, when the revision is not the current one. */
  applyPlan(plan: Plan, now: Millis): Promise<{ applied: boolean } & RunAndTasks>;
  /** Sets the flag on the run and on every task that is not final. Idempotent. */
  requestCancel(runUid: string, now: Millis): Promise<Changed>;

  /** Ready → Offered(e+1). `refused` names tasks that are not Ready at that epoch any more. */
  offerTasks(command: {
    to: Speaker;
    tasks: readonly { task: string; epoch: number }[];
    now: Millis;
    expiresAt: Millis;
  }): Promise<Changed & { refused: readonly string[] }>;
  /** Offered → Claimed. Idempotent for the same session, task and epoch. Refused: OfferExpired, EpochMismatch, Cancelled, SessionSuperseded. */
  acceptAttempts(command: {
    by: Speaker;
    attempts: readonly AttemptRef[];
    now: Millis;
    leaseExpiresAt: Millis;
  }): Promise<Changed & { answers: readonly AttemptAnswer[] }>;
  /**
   * Claimed → Running (Started), Claimed/Offered → Ready or Cancelled (Released), Running/Claimed/Unknown → terminal (Result).
   * Results are exactly once: the same digest again is Duplicate, another one is Refused with result_conflict. A result for a
   * terminal task (Lost) is kept as evidence only and answered Recorded.
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
   * (their result is to come).
   */
  openSession(command: {
    by: Speaker;
    inventory: readonly InventoryItem[];
    now: Millis;
    leaseExpiresAt: Millis;
  }): Promise<Changed & { answers: readonly InventoryAnswer[] }>;
  /** Offered whose offer ran out → Ready; Ready beyond queueDeadline → Failed QueueTimeout; Claimed/Running beyond their lease → Unknown; Unknown for longer than `graceMs` → Lost. */
  expire(command: { now: Millis; graceMs: number }): Promise<Changed>;
  /** Claimed/Running of these attempts → Unknown at once: the runner twice did not list them as held. */
  markUnknown(command: { attempts: readonly AttemptRef[]; now: Millis; reason: string }): Promise<Changed>;

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
  listRunnerIdentities(): Promise<readonly RunnerIdentityRecord[]>;
  revokeRunnerIdentity(command: { clientId: string; now: Millis }): Promise<void>;

  audit(record: AuditRecord): Promise<void>;
  listAudit(query: { limit: number; object?: string }): Promise<readonly AuditRecord[]>;
  /** Removes finished runs, tombstones (30 days), tokens and sessions older than their retention. */
  prune(command: { now: Millis; runsOlderThan: Millis }): Promise<{ runs: number }>;
  /** Journal mode and the fsync time of the last commits, for the bench and metrics. */
  diagnostics(): Promise<{
    journalMode: string;
    synchronous: string;
    commits: number;
    commitMs: readonly number[];
  }>;
  close(): Promise<void>;
}
