import type { Migration } from './migration.ts';

/**
 * The CHECK of `tasks` is invariant 6 (each held or queued state has its deadline); the unique index over open attempts is
 * invariant 2; the triggers are invariants 1 and 5. A defect in a command thus fails loudly and rolls back.
 */
export const initial: Migration = {
  version: 1,
  name: 'initial',
  sql: `
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE runs (
  uid TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  spec_digest TEXT NOT NULL,
  workflow_name TEXT NOT NULL,
  workflow TEXT NOT NULL,
  steps TEXT NOT NULL,
  requested_by TEXT,
  state TEXT NOT NULL CHECK (state IN ('Running', 'Succeeded', 'Failed', 'Cancelled')),
  reason TEXT,
  message TEXT,
  cancel_requested INTEGER NOT NULL,
  created_at REAL NOT NULL,
  finished_at REAL,
  revision INTEGER NOT NULL,
  pruned INTEGER NOT NULL,
  CHECK ((state = 'Running') = (finished_at IS NULL))
) STRICT;
CREATE INDEX runs_identity ON runs (namespace, name, spec_digest);
CREATE INDEX runs_newest ON runs (created_at) WHERE pruned = 0;
CREATE INDEX runs_of_namespace ON runs (namespace, created_at) WHERE pruned = 0;
CREATE INDEX runs_of_workflow ON runs (namespace, workflow_name, created_at) WHERE pruned = 0;
CREATE INDEX runs_open ON runs (created_at) WHERE state = 'Running';
CREATE INDEX runs_finished ON runs (finished_at) WHERE state <> 'Running';

CREATE TABLE tasks (
  id TEXT PRIMARY KEY,
  run_uid TEXT NOT NULL REFERENCES runs (uid) ON DELETE CASCADE,
  step_index INTEGER NOT NULL,
  target TEXT NOT NULL,
  spec TEXT NOT NULL,
  tags TEXT NOT NULL,
  local INTEGER NOT NULL,
  state TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  cancel_requested INTEGER NOT NULL,
  runner TEXT,
  runner_name TEXT,
  session TEXT,
  ready_at REAL,
  queue_deadline REAL,
  offer_expires_at REAL,
  lease_expires_at REAL,
  unknown_since REAL,
  claimed_at REAL,
  started_at REAL,
  finished_at REAL,
  result TEXT,
  reason TEXT,
  message TEXT,
  CHECK (CASE state
    WHEN 'Pending' THEN epoch = 0
    WHEN 'Ready' THEN queue_deadline IS NOT NULL
    WHEN 'Offered' THEN epoch > 0 AND runner IS NOT NULL AND session IS NOT NULL AND offer_expires_at IS NOT NULL
    WHEN 'Claimed' THEN epoch > 0 AND runner IS NOT NULL AND session IS NOT NULL AND lease_expires_at IS NOT NULL
    WHEN 'Running' THEN epoch > 0 AND runner IS NOT NULL AND session IS NOT NULL AND lease_expires_at IS NOT NULL
    WHEN 'Unknown' THEN epoch > 0 AND runner IS NOT NULL AND unknown_since IS NOT NULL
    WHEN 'Succeeded' THEN finished_at IS NOT NULL AND result IS NOT NULL
    WHEN 'TimedOut' THEN finished_at IS NOT NULL AND result IS NOT NULL
    WHEN 'Failed' THEN finished_at IS NOT NULL
    WHEN 'Cancelled' THEN finished_at IS NOT NULL
    WHEN 'Skipped' THEN finished_at IS NOT NULL
    WHEN 'Lost' THEN finished_at IS NOT NULL
    ELSE 0 END)
) STRICT;
CREATE INDEX tasks_of_run ON tasks (run_uid, step_index, target);
CREATE INDEX tasks_queued ON tasks (queue_deadline) WHERE state = 'Ready';
CREATE INDEX tasks_offered ON tasks (offer_expires_at) WHERE state = 'Offered';
CREATE INDEX tasks_leased ON tasks (lease_expires_at) WHERE state IN ('Claimed', 'Running');
CREATE INDEX tasks_unknown ON tasks (unknown_since) WHERE state = 'Unknown';
CREATE INDEX tasks_held ON tasks (runner) WHERE state IN ('Offered', 'Claimed', 'Running', 'Unknown');

CREATE TRIGGER tasks_terminal BEFORE UPDATE ON tasks
WHEN OLD.state IN ('Succeeded', 'Failed', 'TimedOut', 'Cancelled', 'Skipped', 'Lost')
BEGIN SELECT RAISE(ABORT, 'a terminal task never changes'); END;
CREATE TRIGGER tasks_epoch BEFORE UPDATE OF epoch ON tasks WHEN NEW.epoch < OLD.epoch
BEGIN SELECT RAISE(ABORT, 'an epoch never falls'); END;
CREATE TRIGGER runs_terminal BEFORE UPDATE OF state, reason, message, cancel_requested, finished_at, revision ON runs
WHEN OLD.state <> 'Running'
BEGIN SELECT RAISE(ABORT, 'a terminal run never changes'); END;

CREATE TABLE attempts (
  task TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  epoch INTEGER NOT NULL,
  runner TEXT NOT NULL,
  runner_name TEXT NOT NULL,
  session TEXT NOT NULL,
  offered_at REAL NOT NULL,
  claimed_at REAL,
  started_at REAL,
  ended_at REAL,
  ending TEXT,
  result TEXT,
  result_digest TEXT,
  result_at REAL,
  PRIMARY KEY (task, epoch),
  CHECK ((ended_at IS NULL) = (ending IS NULL)),
  CHECK ((result IS NULL) = (result_digest IS NULL))
) STRICT;
CREATE UNIQUE INDEX attempts_open ON attempts (task) WHERE ended_at IS NULL;
CREATE TRIGGER attempts_result BEFORE UPDATE ON attempts WHEN OLD.result_digest IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a recorded result never changes'); END;

CREATE TABLE sessions (
  session TEXT PRIMARY KEY,
  client_id TEXT NOT NULL,
  opened_at REAL NOT NULL,
  superseded_at REAL
) STRICT;
CREATE UNIQUE INDEX sessions_current ON sessions (client_id) WHERE superseded_at IS NULL;
CREATE INDEX sessions_superseded ON sessions (superseded_at) WHERE superseded_at IS NOT NULL;

CREATE TABLE registration_tokens (
  hash TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  tags TEXT,
  local INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at REAL NOT NULL,
  client_id TEXT
) STRICT;

CREATE TABLE runner_identities (
  client_id TEXT PRIMARY KEY,
  public_key TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  requested_tags TEXT,
  permitted_tags TEXT,
  local INTEGER NOT NULL,
  registered_at REAL NOT NULL,
  revoked_at REAL
) STRICT;

CREATE TABLE audit (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object TEXT NOT NULL,
  details TEXT NOT NULL
) STRICT;
CREATE INDEX audit_newest ON audit (at);
CREATE INDEX audit_of_object ON audit (object, at);
`,
};
