import type { OnLost } from '@outrider/protocol';
import { sql, type Generated, type Kysely, type RawBuilder, type Selectable, type SqlBool } from 'kysely';
import type { RunState, TaskState } from './records.ts';

/**
 * The tables as the commands see them, in types that SQLite and PostgreSQL share: times are milliseconds in a double,
 * flags are 0 or 1, objects are JSON text.
 */
export interface Tables {
  meta: { key: string; value: string };
  migrations: { version: number; name: string; applied_at: number };
  runs: RunsTable;
  tasks: TasksTable;
  attempts: AttemptsTable;
  sessions: SessionsTable;
  registration_tokens: RegistrationTokensTable;
  runner_identities: RunnerIdentitiesTable;
  audit: AuditTable;
  locks: LocksTable;
  host_keys: HostKeysTable;
  runner_contacts: RunnerContactsTable;
  decisions: DecisionsTable;
}

export interface RunsTable {
  uid: string;
  namespace: string;
  name: string;
  spec_digest: string;
  workflow_name: string;
  workflow: string;
  steps: string;
  requested_by: string | null;
  state: RunState;
  reason: string | null;
  message: string | null;
  cancel_requested: number;
  created_at: number;
  finished_at: number | null;
  revision: number;
  /** 1 once its tasks are gone and only the tombstone is left. */
  pruned: number;
  priority: Generated<number>;
  paused: Generated<number>;
}

export interface TasksTable {
  id: string;
  run_uid: string;
  step_index: number;
  target: string;
  spec: string;
  tags: string;
  local: number;
  state: TaskState;
  epoch: number;
  cancel_requested: number;
  runner: string | null;
  runner_name: string | null;
  session: string | null;
  ready_at: number | null;
  queue_deadline: number | null;
  offer_expires_at: number | null;
  lease_expires_at: number | null;
  unknown_since: number | null;
  claimed_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  result: string | null;
  reason: string | null;
  message: string | null;
  /** Of its run; empty when an operator before this column made it. */
  namespace: Generated<string>;
  /** Of its run. */
  priority: Generated<number>;
  on_lost: Generated<OnLost>;
  retry_limit: Generated<number>;
  retries_left: Generated<number>;
  retry_delay_ms: Generated<number>;
  not_before: Generated<number | null>;
  /** How long it may wait in Ready each time; null before it first does. */
  queue_ms: Generated<number | null>;
  /** End of Blocked, Verifying and AwaitingHuman. */
  deadline: Generated<number | null>;
  crashes: Generated<number>;
  /** Session whose end `crashes` counted last. */
  crashed_session: Generated<string | null>;
  uncertain: Generated<number>;
  probe_of: Generated<string | null>;
  /** Spec of the probe of `onLost: Verify`. */
  verify: Generated<string | null>;
  lock_key: Generated<string | null>;
  lock_max: Generated<number | null>;
  unconfirmed: Generated<number>;
  /** Of its run when this was last written, leases apart. */
  revision: Generated<number>;
}

/** How an attempt stopped being open. */
export type Ending =
  | 'Expired'
  | 'Released'
  | 'Superseded'
  | 'Withdrawn'
  | 'Lost'
  | 'Succeeded'
  | 'Failed'
  | 'TimedOut'
  | 'Cancelled'
  /** The probe of `onLost: Verify` answered for it. */
  | 'Verified'
  /** A person answered for it. */
  | 'Decided'
  /** Given up for the next one, under `onLost: Retry`. */
  | 'Retried'
  | 'Poisoned';

/** One row per epoch, kept beside the task: what makes results exactly once and late ones evidence. */
export interface AttemptsTable {
  task: string;
  epoch: number;
  runner: string;
  runner_name: string;
  session: string;
  offered_at: number;
  claimed_at: number | null;
  started_at: number | null;
  ended_at: number | null;
  ending: Ending | null;
  result: string | null;
  /** SHA-256 hex over the RFC 8785 JSON of the result. */
  result_digest: string | null;
  result_at: number | null;
  /** 1 when nobody could check that it ended. */
  unconfirmed: Generated<number>;
}

export interface SessionsTable {
  session: string;
  client_id: string;
  opened_at: number;
  superseded_at: number | null;
  /** JSON of the runner's hello. */
  hello: Generated<string | null>;
}

export interface RegistrationTokensTable {
  hash: string;
  namespace: string;
  tags: string | null;
  local: number;
  created_by: string;
  expires_at: number;
  client_id: string | null;
}

export interface RunnerIdentitiesTable {
  client_id: string;
  public_key: string;
  namespace: string;
  name: string;
  requested_tags: string | null;
  permitted_tags: string | null;
  local: number;
  registered_at: number;
  revoked_at: number | null;
}

export interface AuditTable {
  at: number;
  actor: string;
  action: string;
  object: string;
  details: string;
}

/** Places that are taken of what is limited; they outlive work whose end is unconfirmed. */
export interface LocksTable {
  key: string;
  task: string;
  epoch: number;
  since: number;
  unconfirmed: number;
  expires_at: number | null;
}

export interface HostKeysTable {
  namespace: string;
  host: string;
  port: number;
  key: string;
  learned_at: number;
  runner_name: string;
}

export interface RunnerContactsTable {
  client_id: string;
  session: string;
  at: number;
  /** JSON of the rest of a RunnerContact. */
  said: string;
}

/** Decisions by the uid of their RunDecision, so that one that is told twice is applied once. */
export interface DecisionsTable {
  uid: string;
  at: number;
  /** JSON of why it was refused; null when it was applied. */
  problem: string | null;
}

export type RunRow = Selectable<RunsTable>;
export type TaskRow = Selectable<TasksTable>;
export type AttemptRow = Selectable<AttemptsTable>;
export type SessionRow = Selectable<SessionsTable>;

/**
 * What a command gets: one open transaction. A command never begins, commits or keeps it, and issues one statement at a
 * time, so that the same function runs inside a SQLite savepoint and inside a PostgreSQL transaction.
 */
export interface Tx {
  readonly sql: Kysely<Tables>;
  /**
   * Waits until no other transaction holds this key, and holds it until the end of this one: for what two transactions could
   * do to each other unseen at READ COMMITTED, such as counting rows and then inserting one. Nothing in SQLite, which has one
   * writer; an advisory transaction lock in PostgreSQL. `Shared` holders do not wait for each other.
   */
  lock(key: string, mode?: 'Exclusive' | 'Shared'): Promise<void>;
}

/** Most values bound in one statement stay far below SQLite's 32,766 and PostgreSQL's 65,535. */
export const chunkRows = 500;

export const inChunks = function* <T>(items: readonly T[], size = chunkRows): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
};

/** A condition on the state of tasks with the states written out, as a partial index needs it; in the order of the index. */
export const isOneOf = (states: readonly TaskState[]): RawBuilder<SqlBool> => {
  const written = states.map((state) => sql.lit(state));
  return written.length === 1 ? sql`state = ${written[0]}` : sql`state IN (${sql.join(written)})`;
};
