import type { Insertable } from 'kysely';
import type {
  AuditRecord,
  NewRun,
  NewTask,
  RegistrationTokenRecord,
  RunnerIdentityRecord,
  RunRecord,
  TaskRecord,
} from './records.ts';
import type {
  AuditTable,
  RegistrationTokensTable,
  RunnerIdentitiesTable,
  RunRow,
  RunsTable,
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
  claimedAt: row.claimed_at,
  startedAt: row.started_at,
  finishedAt: row.finished_at,
  result: optionalJson(row.result),
  reason: row.reason,
  message: row.message,
});

/** Columns that are not named start as NULL. */
export const fromNewTask = (runUid: string, task: NewTask): Insertable<Pick<TasksTable, NewTaskColumn>> => ({
  id: task.id,
  run_uid: runUid,
  step_index: task.stepIndex,
  target: task.target,
  spec: JSON.stringify(task.spec),
  tags: JSON.stringify(task.tags),
  local: task.local ? 1 : 0,
  state: 'Pending',
  epoch: 0,
  cancel_requested: 0,
});
type NewTaskColumn =
  | 'id'
  | 'run_uid'
  | 'step_index'
  | 'target'
  | 'spec'
  | 'tags'
  | 'local'
  | 'state'
  | 'epoch'
  | 'cancel_requested';

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
