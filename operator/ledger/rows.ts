import type { Insertable } from 'kysely';
import type {
  AuditRecord,
  LockRecord,
  NewRun,
  NewTask,
  RegistrationTokenRecord,
  RunnerContact,
  RunnerIdentityRecord,
  RunRecord,
  SessionRecord,
  TaskRecord,
} from './records.ts';
import type {
  AuditTable,
  LocksTable,
  RegistrationTokensTable,
  RunnerContactsTable,
  RunnerIdentitiesTable,
  RunRow,
  RunsTable,
  SessionRow,
  TaskRow,
  TasksTable,
} from './tables.ts';

const optionalJson = (text: string | null) => (text === null ? null : JSON.parse(text));

export const toRun = (row: RunRow): RunRecord => ({
  uid: row.uid,
  namespace: row.namespace,
  name: row.name,
  specDigest: row.spec_digest,
  workflow: JSON.parse(row.workflow),
  steps: JSON.parse(row.steps),
  requestedBy: row.requested_by,
  state: row.state,
  reason: row.reason,
  message: row.message,
  cancelRequested: row.cancel_requested === 1,
  paused: row.paused === 1,
  priority: row.priority,
  createdAt: row.created_at,
  finishedAt: row.finished_at,
  revision: row.revision,
});

export const fromNewRun = (run: NewRun): Insertable<RunsTable> => ({
  uid: run.uid,
  namespace: run.namespace,
  name: run.name,
  spec_digest: run.specDigest,
  workflow_name: run.workflow.name,
  workflow: JSON.stringify(run.workflow),
  steps: JSON.stringify(run.steps),
  requested_by: run.requestedBy,
  state: 'Running',
  reason: null,
  message: null,
  cancel_requested: 0,
  created_at: run.createdAt,
  finished_at: null,
  revision: 1,
  pruned: 0,
  priority: run.priority ?? 0,
  paused: 0,
});

export const toTask = (row: TaskRow): TaskRecord => ({
  id: row.id,
  runUid: row.run_uid,
  stepIndex: row.step_index,
  target: row.target,
  spec: JSON.parse(row.spec),
  tags: JSON.parse(row.tags),
  local: row.local === 1,
  state: row.state,
  epoch: row.epoch,
  cancelRequested: row.cancel_requested === 1,
  runner: row.runner,
  runnerName: row.runner_name,
  session: row.session,
  readyAt: row.ready_at,
  queueDeadline: row.queue_deadline,
  offerExpiresAt: row.offer_expires_at,
  leaseExpiresAt: row.lease_expires_at,
  unknownSince: row.unknown_since,
  deadline: row.deadline,
  claimedAt: row.claimed_at,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
  result: optionalJson(row.result),
  reason: row.reason,
  message: row.message,
  onLost: row.on_lost,
  priority: row.priority,
  retriesLeft: row.retries_left,
  notBefore: row.not_before,
  crashes: row.crashes,
  uncertain: row.uncertain === 1,
  probeOf: row.probe_of,
  lockKey: row.lock_key,
  lockMax: row.lock_max,
  unconfirmed: row.unconfirmed,
});

const withoutRetry = { limit: 0, delayMs: 0 };
const withoutLock = { key: null, max: null };

/** Columns that are not named start as NULL, or as their default. */
export const fromNewTask = (
  run: Pick<NewRun, 'uid' | 'namespace' | 'priority'>,
  task: NewTask,
): Insertable<TasksTable> => {
  const { retry = withoutRetry, lock = withoutLock } = task;
  return {
    ...noTask,
    id: task.id,
    run_uid: run.uid,
    namespace: run.namespace,
    priority: run.priority ?? 0,
    step_index: task.stepIndex,
    target: task.target,
    spec: JSON.stringify(task.spec),
    tags: JSON.stringify(task.tags),
    local: task.local ? 1 : 0,
    on_lost: task.spec.onLost ?? 'Fail',
    retry_limit: retry.limit,
    retries_left: retry.limit,
    retry_delay_ms: retry.delayMs,
    verify: task.verify === undefined ? null : JSON.stringify(task.verify),
    lock_key: lock.key,
    lock_max: lock.max,
  };
};

/** Before its first offer. */
export const noTask = {
  state: 'Pending',
  epoch: 0,
  cancel_requested: 0,
  runner: null,
  runner_name: null,
  session: null,
  ready_at: null,
  queue_deadline: null,
  offer_expires_at: null,
  lease_expires_at: null,
  unknown_since: null,
  claimed_at: null,
  started_at: null,
  finished_at: null,
  result: null,
  reason: null,
  message: null,
} as const;

export const toSession = (row: SessionRow): SessionRecord => ({
  session: row.session,
  clientId: row.client_id,
  openedAt: row.opened_at,
  supersededAt: row.superseded_at,
  hello: optionalJson(row.hello),
});

export const toContact = (row: RunnerContactsTable): RunnerContact => ({
  ...JSON.parse(row.said),
  clientId: row.client_id,
  session: row.session,
  at: row.at,
});

export const toLock = (row: LocksTable): LockRecord => ({
  key: row.key,
  task: row.task,
  epoch: row.epoch,
  since: row.since,
  unconfirmed: row.unconfirmed === 1,
  expiresAt: row.expires_at,
});

export const toToken = (row: RegistrationTokensTable): RegistrationTokenRecord => ({
  hash: row.hash,
  namespace: row.namespace,
  tags: optionalJson(row.tags),
  local: row.local === 1,
  createdBy: row.created_by,
  expiresAt: row.expires_at,
  clientId: row.client_id,
});

export const toIdentity = (row: RunnerIdentitiesTable): RunnerIdentityRecord => ({
  clientId: row.client_id,
  publicKey: row.public_key,
  namespace: row.namespace,
  name: row.name,
  requestedTags: optionalJson(row.requested_tags),
  permittedTags: optionalJson(row.permitted_tags),
  local: row.local === 1,
  registeredAt: row.registered_at,
  revokedAt: row.revoked_at,
});

export const toAudit = (row: AuditTable): AuditRecord => ({ ...row, details: JSON.parse(row.details) });
