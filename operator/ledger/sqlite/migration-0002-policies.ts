import type { Migration } from './migration.ts';

/**
 * What happens to lost work, retries, pauses, limits and recovery. `tasks` is built anew, since SQLite cannot change the CHECK
 * that names its states; every new column has a default, and every row that the version before could hold passes the new
 * CHECK, so that the operator of the version before goes on writing into this schema. Tasks in a state that it does not know
 * it leaves alone, and their runs stay open until this version is back.
 */
export const policies: Migration = {
  version: 2,
  name: 'policies',
  rebuilds: true,
  sql: `
ALTER TABLE runs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE attempts ADD COLUMN unconfirmed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN hello TEXT;
-- An attempt whose result leaves open how far it got is answered for later: its ending changes, its result never.
DROP TRIGGER attempts_result;
CREATE TRIGGER attempts_result BEFORE UPDATE OF result, result_digest, result_at ON attempts
WHEN OLD.result_digest IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a recorded result never changes'); END;

CREATE TABLE tasks_rebuilt (
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
  namespace TEXT NOT NULL DEFAULT '',
  priority INTEGER NOT NULL DEFAULT 0,
  on_lost TEXT NOT NULL DEFAULT 'Fail' CHECK (on_lost IN ('Fail', 'Retry', 'Verify', 'Ask')),
  retry_limit INTEGER NOT NULL DEFAULT 0,
  retries_left INTEGER NOT NULL DEFAULT 0 CHECK (retries_left BETWEEN 0 AND retry_limit),
  retry_delay_ms REAL NOT NULL DEFAULT 0,
  not_before REAL,
  queue_ms REAL,
  deadline REAL,
  crashes INTEGER NOT NULL DEFAULT 0,
  crashed_session TEXT,
  uncertain INTEGER NOT NULL DEFAULT 0,
  probe_of TEXT,
  verify TEXT,
  lock_key TEXT,
  lock_max INTEGER,
  unconfirmed INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 0,
  CHECK (CASE state
    WHEN 'Pending' THEN epoch = 0 OR uncertain = 1
    WHEN 'Blocked' THEN deadline IS NOT NULL
    WHEN 'Ready' THEN queue_deadline IS NOT NULL
    WHEN 'Offered' THEN epoch > 0 AND runner IS NOT NULL AND session IS NOT NULL AND offer_expires_at IS NOT NULL
    WHEN 'Claimed' THEN epoch > 0 AND runner IS NOT NULL AND session IS NOT NULL AND lease_expires_at IS NOT NULL
    WHEN 'Running' THEN epoch > 0 AND runner IS NOT NULL AND session IS NOT NULL AND lease_expires_at IS NOT NULL
    WHEN 'Unknown' THEN epoch > 0 AND runner IS NOT NULL AND unknown_since IS NOT NULL
    WHEN 'Verifying' THEN epoch > 0 AND runner IS NOT NULL AND deadline IS NOT NULL
    WHEN 'AwaitingHuman' THEN epoch > 0 AND deadline IS NOT NULL
    WHEN 'Succeeded' THEN finished_at IS NOT NULL AND (result IS NOT NULL OR reason IS NOT NULL)
    WHEN 'TimedOut' THEN finished_at IS NOT NULL AND result IS NOT NULL
    WHEN 'Failed' THEN finished_at IS NOT NULL
    WHEN 'Cancelled' THEN finished_at IS NOT NULL
    WHEN 'Skipped' THEN finished_at IS NOT NULL
    WHEN 'Lost' THEN finished_at IS NOT NULL
    ELSE 0 END)
) STRICT;
INSERT INTO tasks_rebuilt (id, run_uid, step_index, target, spec, tags, local, state, epoch, cancel_requested, runner,
  runner_name, session, ready_at, queue_deadline, offer_expires_at, lease_expires_at, unknown_since, claimed_at, started_at,
  finished_at, result, reason, message, namespace)
SELECT id, run_uid, step_index, target, spec, tags, local, state, epoch, cancel_requested, runner,
  runner_name, session, ready_at, queue_deadline, offer_expires_at, lease_expires_at, unknown_since, claimed_at, started_at,
  finished_at, result, reason, message, (SELECT namespace FROM runs WHERE uid = run_uid)
FROM tasks;
DROP TABLE tasks;
ALTER TABLE tasks_rebuilt RENAME TO tasks;

CREATE INDEX tasks_of_run ON tasks (run_uid, step_index, target);
CREATE INDEX tasks_of_revision ON tasks (run_uid, revision);
CREATE INDEX tasks_queued ON tasks (queue_deadline) WHERE state = 'Ready';
CREATE INDEX tasks_offered ON tasks (offer_expires_at) WHERE state = 'Offered';
CREATE INDEX tasks_leased ON tasks (lease_expires_at) WHERE state IN ('Claimed', 'Running');
CREATE INDEX tasks_unknown ON tasks (unknown_since) WHERE state = 'Unknown';
CREATE INDEX tasks_held ON tasks (runner) WHERE state IN ('Offered', 'Claimed', 'Running', 'Unknown');
CREATE INDEX tasks_waiting ON tasks (deadline) WHERE state IN ('Blocked', 'Verifying', 'AwaitingHuman');
CREATE INDEX tasks_of_namespace ON tasks (namespace) WHERE state IN ('Offered', 'Claimed', 'Running', 'Unknown');
CREATE INDEX tasks_probes ON tasks (probe_of) WHERE probe_of IS NOT NULL;

CREATE TRIGGER tasks_terminal BEFORE UPDATE ON tasks
WHEN OLD.state IN ('Succeeded', 'Failed', 'TimedOut', 'Cancelled', 'Skipped', 'Lost')
BEGIN SELECT RAISE(ABORT, 'a terminal task never changes'); END;
CREATE TRIGGER tasks_epoch BEFORE UPDATE OF epoch ON tasks WHEN NEW.epoch < OLD.epoch
BEGIN SELECT RAISE(ABORT, 'an epoch never falls'); END;

CREATE TABLE locks (
  key TEXT NOT NULL,
  task TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  since REAL NOT NULL,
  unconfirmed INTEGER NOT NULL,
  expires_at REAL,
  PRIMARY KEY (key, task),
  CHECK ((unconfirmed = 1) = (expires_at IS NOT NULL))
) STRICT;
CREATE INDEX locks_of_task ON locks (task);
CREATE INDEX locks_unconfirmed ON locks (expires_at) WHERE unconfirmed = 1;

CREATE TABLE host_keys (
  namespace TEXT NOT NULL,
  host TEXT NOT NULL,
  port INTEGER NOT NULL,
  key TEXT NOT NULL,
  learned_at REAL NOT NULL,
  runner_name TEXT NOT NULL,
  PRIMARY KEY (namespace, host, port)
) STRICT;

CREATE TABLE runner_contacts (
  client_id TEXT PRIMARY KEY,
  session TEXT NOT NULL,
  at REAL NOT NULL,
  said TEXT NOT NULL
) STRICT;

CREATE TABLE decisions (
  uid TEXT PRIMARY KEY,
  at REAL NOT NULL,
  problem TEXT
) STRICT;
`,
};
