import type { AttemptRef, TaskResult, TaskSpec } from '@outrider/protocol';

/** Milliseconds since the Unix epoch, possibly fractional. */
export type Millis = number;

export const taskStates = [
  'Pending',
  'Ready',
  'Offered',
  'Claimed',
  'Running',
  'Unknown',
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
/** At most one of these per task: somebody may be acting on the target. */
export const heldStates: ReadonlySet<TaskState> = new Set(['Offered', 'Claimed', 'Running', 'Unknown']);

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
  readonly claimedAt: Millis | null;
  readonly startedAt: Millis | null;
  readonly finishedAt: Millis | null;
  readonly result: TaskResult | null;
  readonly reason: string | null;
  readonly message: string | null;
}

export interface NewTask {
  readonly id: string;
  readonly stepIndex: number;
  readonly target: string;
  readonly spec: TaskSpec;
  readonly tags: readonly string[];
  readonly local: boolean;
}

export type NewRun = Pick<
  RunRecord,
  'uid' | 'namespace' | 'name' | 'specDigest' | 'workflow' | 'steps' | 'requestedBy' | 'createdAt'
>;

/** What the planner asks for; every transition names the state that it starts from. */
export interface PlannedTransition {
  readonly task: string;
  readonly from: 'Pending' | 'Ready' | 'Offered';
  readonly to: 'Ready' | 'Skipped' | 'Cancelled' | 'Failed';
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

export type { AttemptRef };
