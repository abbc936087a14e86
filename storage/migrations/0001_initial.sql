-- The first schema. Numbers of states, kinds and reasons are those of the protos and of storage/types.h.

CREATE SEQUENCE lease_block;

-- One row an execution. lease_id is set while an unowned or owned lease lists it, NULL while it is parked and after its
-- end. No index holds a column that changes, so that updates stay within their page (HOT; fillfactor 50).
CREATE TABLE execution (
  id uuid NOT NULL,
  lease_id bigint,
  last_seq int NOT NULL,
  signals int NOT NULL DEFAULT 0,
  parent_step int,
  state smallint NOT NULL
    CONSTRAINT execution_state CHECK (state IN (1, 2, 4, 5, 6, 7, 8)),
  queue smallint NOT NULL
    CONSTRAINT execution_queue CHECK (queue IN (1, 2)),
  priority smallint NOT NULL
    CONSTRAINT execution_priority CHECK (priority BETWEEN 1 AND 5),
  action text NOT NULL,
  caller text NOT NULL,
  parent_name text,
  labels jsonb,
  machine bytea NOT NULL DEFAULT '',
  CONSTRAINT execution_pkey PRIMARY KEY (id),
  CONSTRAINT execution_ended_free CHECK (state NOT IN (6, 7, 8) OR lease_id IS NULL)
) PARTITION BY RANGE (id);

CREATE INDEX execution_parent ON execution (parent_name, id) WHERE parent_name IS NOT NULL;

-- A worker's right to write a batch of executions. An unowned due lease is ready work. epoch grows with every change of
-- owner, so (id, epoch) names one ownership.
CREATE TABLE lease (
  id bigint PRIMARY KEY,
  due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  worker_id uuid,
  epoch int NOT NULL DEFAULT 0,
  queue smallint NOT NULL,
  priority smallint NOT NULL,
  takeovers smallint NOT NULL DEFAULT 0,
  ids uuid[] NOT NULL
    CONSTRAINT lease_not_empty CHECK (cardinality(ids) > 0)
) WITH (
  fillfactor = 70,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX lease_ready ON lease (queue, priority, id) WHERE worker_id IS NULL;
CREATE INDEX lease_worker ON lease (worker_id) WHERE worker_id IS NOT NULL;

-- One row a waiting execution.
CREATE TABLE parked (
  execution_id uuid PRIMARY KEY,
  due_at timestamptz NOT NULL,
  reason smallint NOT NULL
    CONSTRAINT parked_reason CHECK (reason IN (1))
) WITH (
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX parked_due ON parked (due_at);

-- Requests to an execution; execution.signals counts them under the row lock.
CREATE TABLE signal (
  execution_id uuid NOT NULL,
  number int NOT NULL,
  kind smallint NOT NULL
    CONSTRAINT signal_kind CHECK (kind IN (1)),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  caller text NOT NULL,
  reason text NOT NULL,
  CONSTRAINT signal_pkey PRIMARY KEY (execution_id, number)
) PARTITION BY RANGE (execution_id);

-- One row a worker process; it lives while it moves heartbeat_at and dead_at is NULL.
CREATE TABLE worker (
  id uuid PRIMARY KEY,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  dead_at timestamptz,
  draining boolean NOT NULL DEFAULT false,
  host text NOT NULL,
  version text NOT NULL
) WITH (
  fillfactor = 50,
  autovacuum_vacuum_scale_factor = 0,
  autovacuum_vacuum_threshold = 1000
);

CREATE INDEX worker_dead ON worker (id) WHERE dead_at IS NOT NULL;

-- What happened, gapless from 1 for each execution, numbered under the row lock; one row a commit. seq is the number of
-- its last event, events how many it holds; body is an engine.v1.EventRow.
CREATE TABLE event (
  execution_id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  seq int NOT NULL,
  events smallint NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT event_numbers CHECK (events > 0 AND events <= seq),
  CONSTRAINT event_pkey PRIMARY KEY (execution_id, seq)
) PARTITION BY RANGE (execution_id);

-- One row for every execution in a terminal state, and only for those.
CREATE TABLE outcome (
  execution_id uuid PRIMARY KEY,
  finished_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  state smallint NOT NULL
    CONSTRAINT outcome_state CHECK (state IN (6, 7, 8)),
  failure_reason smallint NOT NULL,
  CONSTRAINT outcome_failed CHECK ((state = 7) = (failure_reason <> 0))
);

CREATE INDEX outcome_unsuccessful ON outcome (state, execution_id) WHERE state <> 6;

-- What changed, one row a flush, read in the order of (xid, position) below pg_snapshot_xmin. Not compressed: identifiers
-- gain little from it, and compressing a thousand of them takes longer than storing them.
CREATE TABLE feed (
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  kind smallint NOT NULL
    CONSTRAINT feed_kind CHECK (kind IN (1, 2)),
  ids uuid[] NOT NULL,
  seqs int[] NOT NULL,
  PRIMARY KEY (xid, position),
  CONSTRAINT feed_pairs CHECK (cardinality(ids) = cardinality(seqs) AND cardinality(ids) > 0)
);

ALTER TABLE feed ALTER ids SET STORAGE EXTERNAL, ALTER seqs SET STORAGE EXTERNAL;

-- Feed rows at or below this place have been deleted.
CREATE TABLE feed_horizon (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  xid xid8 NOT NULL,
  position bigint NOT NULL
);

INSERT INTO feed_horizon (xid, position) VALUES ('0', 0);

-- Which execution a caller's request id made. key is the first half of SHA-256 over caller, a zero byte and request id.
CREATE TABLE request_key (
  key uuid PRIMARY KEY,
  execution_id uuid NOT NULL,
  request_hash bytea NOT NULL
);

CREATE INDEX request_key_age ON request_key USING brin (execution_id) WITH (autosummarize = on);

CREATE TABLE policy_decision (
  execution_id uuid NOT NULL,
  number int NOT NULL,
  allow boolean NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  bundle_digest text NOT NULL,
  input_json text NOT NULL,
  result_json text NOT NULL,
  CONSTRAINT policy_decision_pkey PRIMARY KEY (execution_id, number)
) PARTITION BY RANGE (execution_id);

CREATE TABLE artifact (
  execution_id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  name text NOT NULL,
  media_type text NOT NULL,
  body bytea NOT NULL,
  CONSTRAINT artifact_pkey PRIMARY KEY (execution_id, name)
) PARTITION BY RANGE (execution_id);

-- Log bytes from start on, without gaps or overlaps.
CREATE TABLE log_chunk (
  execution_id uuid NOT NULL,
  start bigint NOT NULL
    CONSTRAINT log_chunk_start CHECK (start >= 0),
  length int NOT NULL
    CONSTRAINT log_chunk_length CHECK (length > 0 AND length = octet_length(data)),
  data bytea NOT NULL,
  CONSTRAINT log_chunk_pkey PRIMARY KEY (execution_id, start)
) PARTITION BY RANGE (execution_id);

-- The smallest version 7 uuid of a moment: where a partition begins.
CREATE FUNCTION uuid_floor(moment timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

CREATE FUNCTION partition_settings(parent text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT
RETURN CASE parent
  WHEN 'execution' THEN
    ' WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)'
  ELSE ''
END;

-- Makes the partitions of the week of `first` and of the `weeks` after it, where they are missing; returns how many.
CREATE FUNCTION make_partitions(first timestamptz, weeks int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  week timestamptz;
  child text;
  made int := 0;
BEGIN
  FOREACH parent IN ARRAY ARRAY['artifact', 'event', 'execution', 'log_chunk', 'policy_decision', 'signal'] LOOP
    FOR n IN 0..weeks LOOP
      week := date_trunc('week', first, 'UTC') + n * interval '7 days';
      child := parent || to_char(week AT TIME ZONE 'UTC', '"_p"YYYYMMDD');
      CONTINUE WHEN to_regclass(child) IS NOT NULL;
      EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)%s', child, parent,
                     uuid_floor(week), uuid_floor(week + interval '7 days'), partition_settings(parent));
      made := made + 1;
    END LOOP;
  END LOOP;
  RETURN made;
END
$$;

-- Drops the partitions of weeks that ended more than `keep` ago and in which every execution has ended, with their
-- outcomes; returns how many.
CREATE FUNCTION drop_partitions(keep interval) RETURNS int
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
    FOREACH parent IN ARRAY ARRAY['artifact', 'event', 'execution', 'log_chunk', 'policy_decision', 'signal'] LOOP
      EXECUTE format('DROP TABLE IF EXISTS %I', parent || '_' || suffix);
      dropped := dropped + 1;
    END LOOP;
  END LOOP;
  RETURN dropped;
END
$$;

CREATE TABLE artifact_default PARTITION OF artifact DEFAULT;
CREATE TABLE event_default PARTITION OF event DEFAULT;
CREATE TABLE execution_default PARTITION OF execution DEFAULT WITH (fillfactor = 50);
CREATE TABLE log_chunk_default PARTITION OF log_chunk DEFAULT;
CREATE TABLE policy_decision_default PARTITION OF policy_decision DEFAULT;
CREATE TABLE signal_default PARTITION OF signal DEFAULT;

SELECT make_partitions(now(), 4);
