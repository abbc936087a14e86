-- Stores signals under the numbers that tell_count.sql gave them, with one feed row and a notification.
-- $1 execution_id uuid[], $2 number int[], $3 kind smallint[], $4 caller text[], $5 reason text[], $6 detail bytea[],
-- $7 distinct execution_id uuid[], $8 their last_seq int[]
-- Index: none.
WITH stored AS (
  INSERT INTO signal (execution_id, number, kind, caller, reason, detail)
  SELECT i.execution_id, i.number, i.kind, i.caller, i.reason, i.detail
  FROM (
    SELECT unnest($1::uuid[]) AS execution_id, unnest($2::int[]) AS number, unnest($3::smallint[]) AS kind,
           unnest($4::text[]) AS caller, unnest($5::text[]) AS reason, unnest($6::bytea[]) AS detail
  ) AS i
),
fed AS (
  INSERT INTO feed (kind, ids, seqs)
  VALUES (2, $7::uuid[], $8::int[])
  RETURNING position
)
SELECT pg_notify('capstan_feed', '') IS NULL FROM fed
