import type { AttemptRef, OnLost, SessionRequest, TaskResult, TaskSpec } from '@outrider/protocol';

/** Milliseconds since the Unix epoch, possibly fractional. */
export type Millis = number;

export const taskStates = [
  'Pending',
  'Blocked',
  'Ready',
  'Offered',
  'Claimed',
  'Running',
  'Unknown',
  'Verifying',
  'AwaitingHuman',
  'Succeeded',
  'Failed',
  'TimedOut',
  'Cancelled',
  'Skipped',
  'Lost',
] as const;
export type TaskState = (typeof taskStates)[number];

export const terminalStates: ReadonlySet<TaskState> = new Set([
  'Succeeded',
  'Failed',
  'TimedOut',
  'Cancelled',
  'Skipped',
  'Lost',
]);
/** States in which an attempt takes a slot of its runner. */
export const heldStates: ReadonlySet<TaskState> = new Set(['Offered', 'Claimed', 'Running', 'Unknown']);
/** At most one of these per task: somebody may be acting on the target, or nobody knows. */
export const openAttemptStates: ReadonlySet<TaskState> = new Set([
  ...heldStates,
  'Verifying',
  'AwaitingHuman',
]);

export type RunState = 'Running' | 'Succeeded' | 'Failed' | 'Cancelled';

/** A frozen step, as the run executes it whatever happens to the workflow later. */
export interface FrozenStep {
  readonly name: string;
  readonly node: string;
  /** False when the step names one inline target, one Target, or none. */
  readonly fanOut: boolean;
}

/** A run as it was frozen at its start. */
export interface RunRecord {
  /** metadata.uid of the WorkflowRun. */
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** SHA-256 hex of the RFC 8785 JSON of the run's spec without desiredState: with namespace and name its identity. */
  readonly specDigest: string;
  readonly workflow: {
    readonly name: string;
    readonly uid: string;
    readonly generation: number;
    readonly digest: string;
  };
  readonly steps: readonly FrozenStep[];
  readonly requestedBy: string | null;
  readonly state: RunState;
  readonly reason: string | null;
  readonly message: string | null;
  readonly cancelRequested: boolean;
  /** Nothing new starts while it is set; what runs goes on. */
  readonly paused: boolean;
  /** -1000 to 1000; higher ones are offered first. */
  readonly priority: number;
  readonly createdAt: Millis;
  readonly finishedAt: Millis | null;
  /** Grows with every change of the run or of one of its tasks; a plan made for an older revision is refused. */
  readonly revision: number;
}

export interface TaskRecord {
  readonly id: string;
  readonly runUid: string;
  readonly stepIndex: number;
  /** Target name when the step fans out, else empty. */
  readonly target: string;
  readonly spec: TaskSpec;
  /** All of these are needed in a runner. */
  readonly tags: readonly string[];
  readonly local: boolean;
  readonly state: TaskState;
  /** Number of the current or last attempt; 0 before the first offer. */
  readonly epoch: number;
  readonly cancelRequested: boolean;
  /** clientId of the runner that holds or held the current epoch. */
  readonly runner: string | null;
  readonly runnerName: string | null;
  readonly session: string | null;
  readonly readyAt: Millis | null;
  /** A task still Ready then fails with QueueTimeout. */
  readonly queueDeadline: Millis | null;
  readonly offerExpiresAt: Millis | null;
  readonly leaseExpiresAt: Millis | null;
  readonly unknownSince: Millis | null;
  /** End of Blocked, Verifying and AwaitingHuman. */
  readonly deadline: Millis | null;
  readonly claimedAt: Millis | null;
  readonly startedAt: Millis | null;
  readonly finishedAt: Millis | null;
  readonly result: TaskResult | null;
  readonly reason: string | null;
  readonly message: string | null;
  readonly onLost: OnLost;
  /** Of its run. */
  readonly priority: number;
  /** Attempts that may still follow one that failed, or that was lost under `Retry`. */
  readonly retriesLeft: number;
  /** A Ready task is not offered before this: the back-off after a failed attempt. */
  readonly notBefore: Millis | null;
  /** Distinct processes of runners that died while they held it; at `maxCrashes` it fails as Poisoned. */
  readonly crashes: number;
  /** The ledger was restored, and no runner has vouched for what this says. */
  readonly uncertain: boolean;
  /** Task whose attempt was lost and which this one, a probe of `onLost: Verify`, finds out about. */
  readonly probeOf: string | null;
  /** What it takes a place of while it is held, such as a Target; null when nothing is limited. */
  readonly lockKey: string | null;
  /** Places of that. */
  readonly lockMax: number | null;
  /** Attempts whose end nobody could check. */
  readonly unconfirmed: number;
}

/** Processes of runners that may die with a task before it is taken for the cause. */
export const maxCrashes = 3;

/** After the n-th failed attempt a task waits `delayMs` times 2^(n-1), at most five minutes. */
export interface RetryPolicy {
  readonly limit: number;
  readonly delayMs: number;
}

export interface NewTask {
  readonly id: string;
  readonly stepIndex: number;
  readonly target: string;
  readonly spec: TaskSpec;
  readonly tags: readonly string[];
  readonly local: boolean;
  readonly retry?: RetryPolicy;
  /** What finds out whether it was done, under `spec.onLost: Verify`: a task of its own with the exit codes 0 (done) and 1 (not done). */
  readonly verify?: TaskSpec;
  readonly lock?: { readonly key: string; readonly max: number };
}

export type NewRun = Pick<
  RunRecord,
  'uid' | 'namespace' | 'name' | 'specDigest' | 'workflow' | 'steps' | 'requestedBy' | 'createdAt'
> & { readonly priority?: number };

/** What the planner asks for; every transition names the state that it starts from. */
export interface PlannedTransition {
  readonly task: string;
  readonly from: 'Pending' | 'Blocked' | 'Ready' | 'Offered' | 'Verifying' | 'AwaitingHuman';
  readonly to: 'Blocked' | 'Ready' | 'AwaitingHuman' | 'Skipped' | 'Cancelled' | 'Failed';
  readonly reason?: string;
  readonly message?: string;
  readonly queueDeadline?: Millis;
}
export interface Plan {
  readonly runUid: string;
  readonly revision: number;
  readonly transitions: readonly PlannedTransition[];
  /** Ends the run; only when every task is terminal after the transitions. */
  readonly finish?: {
    readonly state: Exclude<RunState, 'Running'>;
    readonly reason: string;
    readonly message: string;
  };
}

export interface RunAndTasks {
  readonly run: RunRecord;
  readonly tasks: readonly TaskRecord[];
}

export interface RegistrationTokenRecord {
  /** SHA-256 hex of the secret; the secret itself is never stored. */
  readonly hash: string;
  readonly namespace: string;
  /** Tags that it permits; null permits those of the Runner resource only, or any when that has none. */
  readonly tags: readonly string[] | null;
  readonly local: boolean;
  readonly createdBy: string;
  readonly expiresAt: Millis;
  /** Key that it is bound to since its first use. */
  readonly clientId: string | null;
}

/** One key is one runner replica. */
export interface RunnerIdentityRecord {
  /** RFC 7638 thumbprint of the key. */
  readonly clientId: string;
  /** `x` of the Ed25519 JWK. */
  readonly publicKey: string;
  readonly namespace: string;
  readonly name: string;
  /** Tags asked for at registration; null when it asked for none. */
  readonly requestedTags: readonly string[] | null;
  readonly permittedTags: readonly string[] | null;
  readonly local: boolean;
  readonly registeredAt: Millis;
  readonly revokedAt: Millis | null;
}

export interface AuditRecord {
  readonly at: Millis;
  readonly actor: string;
  readonly action: string;
  readonly object: string;
  readonly details: Readonly<Record<string, unknown>>;
}

/** What a runner said of itself when its session opened. */
export type SessionHello = Omit<SessionRequest, 'inventory'>;

/** A session as any replica of the operator can take it up. */
export interface SessionRecord {
  readonly session: string;
  readonly clientId: string;
  readonly openedAt: Millis;
  readonly supersededAt: Millis | null;
  /** Null for a session that an operator before this version opened: its runner has to open another. */
  readonly hello: SessionHello | null;
}

/** The last that one replica of the operator heard of a runner. */
export interface RunnerContact {
  readonly clientId: string;
  readonly session: string;
  readonly at: Millis;
  readonly load: number;
  readonly capacity: number;
  readonly draining: boolean;
  /** It said good-bye. */
  readonly closed: boolean;
  /** A poll was open at that time. */
  readonly polling: boolean;
  /** Runner's clock minus the operator's. */
  readonly skewMs: number;
  readonly degraded: readonly string[];
}

/** What a person decided about an attempt whose end nobody knows. */
export const decisions = ['Succeeded', 'Failed', 'Retry', 'Release'] as const;
export type Decision = (typeof decisions)[number];

/** A place that is taken of something limited, such as a Target. */
export interface LockRecord {
  readonly key: string;
  readonly task: string;
  readonly epoch: number;
  readonly since: Millis;
  /** Its holder's end could not be checked: it stays until somebody releases it, or until `expiresAt`. */
  readonly unconfirmed: boolean;
  readonly expiresAt: Millis | null;
}

/** What the ledger says of itself. */
export interface LedgerMeta {
  readonly generation: string;
  /** Generations before restores, oldest first. */
  readonly formerGenerations: readonly string[];
  /** Grows with every leader. */
  readonly term: number;
  /** Grows with `advanceSequence`; a copy of the file that is put back is behind the number kept elsewhere. */
  readonly sequence: number;
  /** Set from `enterRecovery` to `leaveRecovery`. */
  readonly recovery: { readonly since: Millis; readonly reason: string } | null;
}

export type { AttemptRef };
