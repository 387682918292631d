import type { Migration } from './migration.ts';

/**
 * Tables as tables.ts has them. Text that is compared or sorted has the collation "C", so that both engines agree. The CHECK
 * of `tasks` is invariant 6 (each state that waits has its deadline); the unique index over open attempts is invariant 2; the
 * triggers are invariants 1 and 5. `tasks.changed` is the number of the transaction that wrote the row last, for feed.ts;
 * `commits` has the last transaction of each writer, for outcome.ts. Rows of `runs` and `tasks` change often: room is left for it.
 */
export const initial: Migration = {
  version: 1,
  name: 'initial',
  sql: `
CREATE TABLE meta (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
CREATE TABLE commits (
  writer text COLLATE "C" PRIMARY KEY,
  token text NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

CREATE TABLE runs (
  uid text COLLATE "C" PRIMARY KEY,
  namespace text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  spec_digest text COLLATE "C" NOT NULL,
  workflow_name text COLLATE "C" NOT NULL,
  workflow text NOT NULL,
  steps text NOT NULL,
  requested_by text,
  state text NOT NULL CHECK (state IN ('Running', 'Succeeded', 'Failed', 'Cancelled')),
  reason text,
  message text,
  cancel_requested integer NOT NULL,
  created_at double precision NOT NULL,
  finished_at double precision,
  revision bigint NOT NULL,
  pruned integer NOT NULL,
  priority integer NOT NULL DEFAULT 0,
  paused integer NOT NULL DEFAULT 0,
  CHECK ((state = 'Running') = (finished_at IS NULL))
) WITH (fillfactor = 60);
CREATE INDEX runs_identity ON runs (namespace, name, spec_digest);
CREATE INDEX runs_newest ON runs (created_at) WHERE pruned = 0;
CREATE INDEX runs_of_namespace ON runs (namespace, created_at) WHERE pruned = 0;
CREATE INDEX runs_of_workflow ON runs (namespace, workflow_name, created_at) WHERE pruned = 0;
CREATE INDEX runs_open ON runs (created_at) WHERE state = 'Running';
CREATE INDEX runs_finished ON runs (finished_at) WHERE state <> 'Running';

CREATE TABLE tasks (
  id text COLLATE "C" PRIMARY KEY,
  run_uid text COLLATE "C" NOT NULL REFERENCES runs (uid) ON DELETE CASCADE,
  step_index integer NOT NULL,
  target text COLLATE "C" NOT NULL,
  spec text NOT NULL,
  tags text NOT NULL,
  local integer NOT NULL,
  state text COLLATE "C" NOT NULL,
  epoch integer NOT NULL,
  cancel_requested integer NOT NULL,
  runner text COLLATE "C",
  runner_name text,
  session text COLLATE "C",
  ready_at double precision,
  queue_deadline double precision,
  offer_expires_at double precision,
  lease_expires_at double precision,
  unknown_since double precision,
  claimed_at double precision,
  started_at double precision,
  finished_at double precision,
  result text,
  reason text,
  message text,
  namespace text COLLATE "C" NOT NULL DEFAULT '',
  priority integer NOT NULL DEFAULT 0,
  on_lost text NOT NULL DEFAULT 'Fail' CHECK (on_lost IN ('Fail', 'Retry', 'Verify', 'Ask')),
  retry_limit integer NOT NULL DEFAULT 0,
  retries_left integer NOT NULL DEFAULT 0 CHECK (retries_left BETWEEN 0 AND retry_limit),
  retry_delay_ms double precision NOT NULL DEFAULT 0,
  not_before double precision,
  queue_ms double precision,
  deadline double precision,
  crashes integer NOT NULL DEFAULT 0,
  crashed_session text,
  uncertain integer NOT NULL DEFAULT 0,
  probe_of text COLLATE "C",
  verify text,
  lock_key text COLLATE "C",
  lock_max integer,
  unconfirmed integer NOT NULL DEFAULT 0,
  revision bigint NOT NULL DEFAULT 0,
  changed bigint NOT NULL DEFAULT 0,
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
    ELSE false END)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX tasks_of_run ON tasks (run_uid, step_index, target);
CREATE INDEX tasks_of_revision ON tasks (run_uid, revision);
CREATE INDEX tasks_changed ON tasks (changed);
CREATE INDEX tasks_queued ON tasks (queue_deadline) WHERE state = 'Ready';
CREATE INDEX tasks_offered ON tasks (offer_expires_at) WHERE state = 'Offered';
CREATE INDEX tasks_leased ON tasks (lease_expires_at) WHERE state IN ('Claimed', 'Running');
CREATE INDEX tasks_unknown ON tasks (unknown_since) WHERE state = 'Unknown';
CREATE INDEX tasks_held ON tasks (runner)
  WHERE state IN ('Offered', 'Claimed', 'Running', 'Unknown', 'Verifying', 'AwaitingHuman');
CREATE INDEX tasks_waiting ON tasks (deadline) WHERE state IN ('Blocked', 'Verifying', 'AwaitingHuman');
CREATE INDEX tasks_of_namespace ON tasks (namespace) WHERE state IN ('Offered', 'Claimed', 'Running', 'Unknown');
CREATE INDEX tasks_probes ON tasks (probe_of) WHERE probe_of IS NOT NULL;

CREATE FUNCTION tasks_written() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' THEN
    IF OLD.state IN ('Succeeded', 'Failed', 'TimedOut', 'Cancelled', 'Skipped', 'Lost') THEN
      RAISE EXCEPTION 'a terminal task never changes';
    END IF;
    IF NEW.epoch < OLD.epoch THEN
      RAISE EXCEPTION 'an epoch never falls';
    END IF;
  END IF;
  NEW.changed := pg_current_xact_id()::text::bigint;
  RETURN NEW;
END $$;
CREATE TRIGGER tasks_written BEFORE INSERT OR UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION tasks_written();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%', TG_ARGV[0];
END $$;
CREATE TRIGGER runs_terminal
  BEFORE UPDATE OF state, reason, message, cancel_requested, finished_at, revision ON runs
  FOR EACH ROW WHEN (OLD.state <> 'Running') EXECUTE FUNCTION refuse_change('a terminal run never changes');

CREATE TABLE attempts (
  task text COLLATE "C" NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
  epoch integer NOT NULL,
  runner text COLLATE "C" NOT NULL,
  runner_name text NOT NULL,
  session text COLLATE "C" NOT NULL,
  offered_at double precision NOT NULL,
  claimed_at double precision,
  started_at double precision,
  ended_at double precision,
  ending text,
  result text,
  result_digest text,
  result_at double precision,
  unconfirmed integer NOT NULL DEFAULT 0,
  PRIMARY KEY (task, epoch),
  CHECK ((ended_at IS NULL) = (ending IS NULL)),
  CHECK ((result IS NULL) = (result_digest IS NULL))
) WITH (fillfactor = 60);
CREATE UNIQUE INDEX attempts_open ON attempts (task) WHERE ended_at IS NULL;
CREATE TRIGGER attempts_result BEFORE UPDATE ON attempts
  FOR EACH ROW WHEN (OLD.result_digest IS NOT NULL) EXECUTE FUNCTION refuse_change('a recorded result never changes');

CREATE TABLE sessions (
  session text COLLATE "C" PRIMARY KEY,
  client_id text COLLATE "C" NOT NULL,
  opened_at double precision NOT NULL,
  superseded_at double precision,
  hello text
);
CREATE UNIQUE INDEX sessions_current ON sessions (client_id) WHERE superseded_at IS NULL;
CREATE INDEX sessions_superseded ON sessions (superseded_at) WHERE superseded_at IS NOT NULL;

CREATE TABLE registration_tokens (
  hash text COLLATE "C" PRIMARY KEY,
  namespace text NOT NULL,
  tags text,
  local integer NOT NULL,
  created_by text NOT NULL,
  expires_at double precision NOT NULL,
  client_id text COLLATE "C"
);

CREATE TABLE runner_identities (
  client_id text COLLATE "C" PRIMARY KEY,
  public_key text NOT NULL,
  namespace text NOT NULL,
  name text NOT NULL,
  requested_tags text,
  permitted_tags text,
  local integer NOT NULL,
  registered_at double precision NOT NULL,
  revoked_at double precision
);

CREATE TABLE audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at double precision NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  object text COLLATE "C" NOT NULL,
  details text NOT NULL
);
CREATE INDEX audit_newest ON audit (at);
CREATE INDEX audit_of_object ON audit (object, at);

CREATE TABLE locks (
  key text COLLATE "C" NOT NULL,
  task text COLLATE "C" NOT NULL,
  epoch integer NOT NULL,
  since double precision NOT NULL,
  unconfirmed integer NOT NULL,
  expires_at double precision,
  PRIMARY KEY (key, task),
  CHECK ((unconfirmed = 1) = (expires_at IS NOT NULL))
);
CREATE INDEX locks_of_task ON locks (task);
CREATE INDEX locks_unconfirmed ON locks (expires_at) WHERE unconfirmed = 1;

CREATE TABLE host_keys (
  namespace text COLLATE "C" NOT NULL,
  host text COLLATE "C" NOT NULL,
  port integer NOT NULL,
  key text NOT NULL,
  learned_at double precision NOT NULL,
  runner_name text NOT NULL,
  PRIMARY KEY (namespace, host, port)
);

CREATE TABLE runner_contacts (
  client_id text COLLATE "C" PRIMARY KEY,
  session text NOT NULL,
  at double precision NOT NULL,
  said text NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE decisions (
  uid text COLLATE "C" PRIMARY KEY,
  at double precision NOT NULL,
  problem text
);
`,
};
