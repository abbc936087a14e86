-- Stores a flush of new executions: key, lease (one per chunk), execution, event 1, one feed row, one notification.
-- Items whose key exists already are left out and their keys returned, with the database's clock.
-- $1 id uuid[], $2 key uuid[], $3 request_hash bytea[], $4 chunk int[] (0..1023, of one queue and priority each),
-- $5 queue smallint[], $6 priority smallint[], $7 action text[], $8 caller text[], $9 parent_name text[],
-- $10 parent_step int[], $11 labels text[] (JSON), $12 body bytea[] (of the row with event 1), $13 look bool
-- A key that exists and was not looked for, or that comes into being after the look, fails the whole flush (23505), which is
-- then sent again. Keys are random, so each look is a page of its own: it is left out while no key is repeated. Looking costs
-- less than ON CONFLICT, which looks as well, and then writes each row twice.
-- The arrays are unnested as columns, as in commit.sql.
-- IS FALSE keeps the planner from making a join of IN; a hashed look-up is what is wanted.
-- Index: request_key_pkey.
WITH known AS MATERIALIZED (
  SELECT k.key
  FROM request_key AS k
  WHERE $13::bool
    AND k.key = ANY ($2::uuid[])
),
block AS MATERIALIZED (
  SELECT nextval('lease_block') * 1024 AS first
),
fresh AS MATERIALIZED (
  SELECT i.*, b.first + i.chunk AS lease_id
  FROM block AS b
  CROSS JOIN (
    SELECT unnest($1::uuid[]) AS id, unnest($2::uuid[]) AS key, unnest($3::bytea[]) AS request_hash, unnest($4::int[]) AS chunk,
           unnest($5::smallint[]) AS queue, unnest($6::smallint[]) AS priority, unnest($7::text[]) AS action,
           unnest($8::text[]) AS caller, unnest($9::text[]) AS parent_name, unnest($10::int[]) AS parent_step,
           unnest($11::text[]) AS labels, unnest($12::bytea[]) AS body
  ) AS i
  WHERE (i.key IN (SELECT k.key FROM known AS k)) IS FALSE
),
keyed AS (
  INSERT INTO request_key (key, execution_id, request_hash)
  SELECT f.key, f.id, f.request_hash
  FROM fresh AS f
  ORDER BY f.key
),
leased AS (
  INSERT INTO lease (id, queue, priority, ids)
  SELECT f.lease_id, f.queue, f.priority, array_agg(f.id)
  FROM fresh AS f
  GROUP BY f.lease_id, f.queue, f.priority
),
created AS (
  INSERT INTO execution (id, lease_id, last_seq, parent_step, state, queue, priority, action, caller, parent_name, labels)
  SELECT f.id, f.lease_id, 1, f.parent_step, 1, f.queue, f.priority, f.action, f.caller, f.parent_name, f.labels::jsonb
  FROM fresh AS f
),
logged AS (
  INSERT INTO event (execution_id, seq, events, body)
  SELECT f.id, 1, 1, f.body
  FROM fresh AS f
),
fed AS (
  INSERT INTO feed (kind, ids, seqs)
  SELECT 1, array_agg(f.id), array_agg(1)
  FROM fresh AS f
  HAVING count(*) > 0
  RETURNING position
)
SELECT clock_timestamp(),
       ARRAY(SELECT k.key FROM known AS k),
       (SELECT pg_notify('capstan_feed', '') IS NULL FROM fed)
