-- Tasks: definitions of workflows, transcripts, usage. Numbers of roles, kinds and reasons are those of the protos and of
-- storage/types.h.

ALTER TABLE parked
  DROP CONSTRAINT parked_reason,
  ADD CONSTRAINT parked_reason CHECK (reason IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10));

ALTER TABLE signal
  DROP CONSTRAINT signal_kind,
  ADD CONSTRAINT signal_kind CHECK (kind IN (1, 2, 3, 4, 5));

-- Definitions of workflows, never changed. The newest version of a name is its current one.
CREATE TABLE definition (
  name text NOT NULL,
  version int NOT NULL
    CONSTRAINT definition_version CHECK (version > 0),
  digest text NOT NULL,
  body bytea NOT NULL,
  caller text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT definition_pkey PRIMARY KEY (name, version)
);

CREATE INDEX definition_digest ON definition (name, digest);

-- What models and programs of a task said and were told, gapless from 1 for each execution.
CREATE TABLE transcript (
  execution_id uuid NOT NULL,
  number bigint NOT NULL
    CONSTRAINT transcript_number CHECK (number > 0),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempt int NOT NULL,
  iteration int NOT NULL,
  role smallint NOT NULL
    CONSTRAINT transcript_role CHECK (role BETWEEN 1 AND 7),
  step text NOT NULL,
  body text NOT NULL,
  CONSTRAINT transcript_pkey PRIMARY KEY (execution_id, number)
) PARTITION BY RANGE (execution_id);

-- What was billed, for each iteration and model. What was not told by the provider is there as the most it can have been.
CREATE TABLE usage (
  execution_id uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cache_creation_tokens bigint NOT NULL,
  cache_read_tokens bigint NOT NULL,
  cost_microusd bigint NOT NULL
    CONSTRAINT usage_cost CHECK (cost_microusd >= 0),
  attempt int NOT NULL,
  iteration int NOT NULL,
  is_upper_bound boolean NOT NULL,
  step text NOT NULL,
  model text NOT NULL,
  caller text NOT NULL,
  CONSTRAINT usage_pkey PRIMARY KEY (execution_id, step, attempt, iteration, model)
) PARTITION BY RANGE (execution_id);

-- The tables of which each week has a partition.
CREATE FUNCTION partitioned_tables() RETURNS text[]
LANGUAGE sql IMMUTABLE
RETURN ARRAY['artifact', 'event', 'execution', 'log_chunk', 'policy_decision', 'signal', 'transcript', 'usage'];

-- As in 0001.
CREATE OR REPLACE FUNCTION make_partitions(first timestamptz, weeks int) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  week timestamptz;
  child text;
  made int := 0;
BEGIN
  FOREACH parent IN ARRAY partitioned_tables() LOOP
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

-- As in 0002.
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
    FOREACH parent IN ARRAY partitioned_tables() LOOP
      EXECUTE format('DROP TABLE IF EXISTS %I', parent || '_' || suffix);
      dropped := dropped + 1;
    END LOOP;
  END LOOP;
  RETURN dropped;
END
$$;

CREATE TABLE transcript_default PARTITION OF transcript DEFAULT;
CREATE TABLE usage_default PARTITION OF usage DEFAULT;

-- Also for the weeks that the other tables have partitions of already.
SELECT make_partitions(now(), 4);
