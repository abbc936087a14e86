-- BLOCKED executions and what blocks them: targets with their queues, approvals, emergency stops. Numbers of states, kinds
-- and reasons are those of the protos and of storage/types.h.

ALTER TABLE execution
  DROP CONSTRAINT execution_state,
  ADD CONSTRAINT execution_state CHECK (state IN (1, 2, 3, 4, 5, 6, 7, 8));

ALTER TABLE parked
  DROP CONSTRAINT parked_reason,
  ADD CONSTRAINT parked_reason CHECK (reason IN (1, 2, 3, 4, 5, 6, 7));

CREATE INDEX parked_stopped ON parked (execution_id) WHERE reason = 7;

ALTER TABLE signal
  DROP CONSTRAINT signal_kind,
  ADD CONSTRAINT signal_kind CHECK (kind IN (1, 2, 3)),
  ADD COLUMN detail bytea NOT NULL DEFAULT '';

-- An object of a cluster that executions change: who may change it now, who waits, and what keeps everybody from it. A row
-- is made when the object is first changed. waiting and waiting_for are in order, and of one length; waiting_for is the
-- action of an execution that gives up for a later one of the same action, '' for the others.
CREATE TABLE target (
  key text PRIMARY KEY,
  holder uuid,
  held_at timestamptz,
  waiting uuid[] NOT NULL DEFAULT '{}',
  waiting_for text[] NOT NULL DEFAULT '{}',
  failures int NOT NULL DEFAULT 0
    CONSTRAINT target_failures CHECK (failures >= 0),
  backoff_until timestamptz,
  blocked_by uuid,
  blocked_at timestamptz,
  block_message text NOT NULL DEFAULT '',
  last_action text NOT NULL DEFAULT '',
  last_success_at timestamptz,
  CONSTRAINT target_pairs CHECK (cardinality(waiting) = cardinality(waiting_for)),
  CONSTRAINT target_held CHECK ((holder IS NULL) = (held_at IS NULL)),
  CONSTRAINT target_blocked CHECK ((blocked_by IS NULL) = (blocked_at IS NULL))
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0.02
);

-- What rules asked an approval for; the execution's events hold the rest.
CREATE TABLE approval (
  execution_id uuid NOT NULL,
  number int NOT NULL,
  state smallint NOT NULL
    CONSTRAINT approval_state CHECK (state BETWEEN 1 AND 5),
  requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  expires_at timestamptz NOT NULL,
  plan_digest text NOT NULL,
  CONSTRAINT approval_pkey PRIMARY KEY (execution_id, number)
);

CREATE INDEX approval_open ON approval (execution_id) WHERE state = 1;

-- Emergency stops. One is in force while lifted_at is NULL. Launches hold an advisory lock together, making and lifting a
-- stop takes it alone (6.2.9 of the design): a launch is either seen by the stop, or sees it.
CREATE TABLE stop (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scope smallint NOT NULL
    CONSTRAINT stop_scope CHECK (scope BETWEEN 1 AND 4),
  subject text NOT NULL,
  caller text NOT NULL,
  reason text NOT NULL,
  request_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  lifted_at timestamptz,
  lifted_by text NOT NULL DEFAULT '',
  lift_reason text NOT NULL DEFAULT ''
);

CREATE UNIQUE INDEX stop_request ON stop (caller, request_id) WHERE request_id <> '';
CREATE INDEX stop_in_force ON stop (id) WHERE lifted_at IS NULL;

-- What was launched, for limits by namespace; append only, kept for a week.
CREATE TABLE launch (
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  execution_id uuid NOT NULL,
  name_space text NOT NULL
);

CREATE INDEX launch_recent ON launch (name_space, at);

-- When the same request last succeeded as a dry run.
CREATE TABLE dry_run (
  key text PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The end of each chain of audit rows; a chain has one writer, so that writers do not wait for each other.
CREATE TABLE audit_chain (
  chain uuid PRIMARY KEY,
  number bigint NOT NULL DEFAULT 0,
  hash bytea NOT NULL DEFAULT '\x'
) WITH (fillfactor = 50);

-- What was changed and by whom, append only. hash is SHA-256 over the hash before it and this row (audit_append.sql).
CREATE TABLE audit (
  chain uuid NOT NULL,
  number bigint NOT NULL,
  at timestamptz NOT NULL,
  body text NOT NULL,
  hash bytea NOT NULL,
  CONSTRAINT audit_pkey PRIMARY KEY (chain, number)
);

CREATE INDEX audit_at ON audit USING brin (at) WITH (autosummarize = on);

-- As in 0001, and the approvals of what is dropped.
CREATE OR REPLACE FUNCTION drop_partitions(keep interval) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  suffix text;
  ended_at timestamptz;
  living boolean;
  dropped int := 0;
BEGIN
  FOR suffix IN
    SELECT substr(c.relname, length('execution_') + 1)
    FROM pg_inherits AS i
    JOIN pg_class AS c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'execution'::regclass
      AND c.relname ~ '^execution_p[0-9]{8}$'
    ORDER BY c.relname
  LOOP
    ended_at := to_date(substr(suffix, 2), 'YYYYMMDD')::timestamp AT TIME ZONE 'UTC' + interval '7 days';
    CONTINUE WHEN ended_at > now() - keep;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE state NOT IN (6, 7, 8))', 'execution_' || suffix) INTO living;
    CONTINUE WHEN living;
    DELETE FROM outcome
    WHERE execution_id >= uuid_floor(ended_at - interval '7 days')
      AND execution_id < uuid_floor(ended_at);
    DELETE FROM approval
    WHERE execution_id >= uuid_floor(ended_at - interval '7 days')
      AND execution_id < uuid_floor(ended_at);
    FOREACH parent IN ARRAY ARRAY['artifact', 'event', 'execution', 'log_chunk', 'policy_decision', 'signal'] LOOP
      EXECUTE format('DROP TABLE IF EXISTS %I', parent || '_' || suffix);
      dropped := dropped + 1;
    END LOOP;
  END LOOP;
  RETURN dropped;
END
$$;
