-- Stores a signal under the number signal_count.sql gave it, with a feed row and a notification.
-- $1 execution_id uuid, $2 number int, $3 kind smallint, $4 caller text, $5 reason text, $6 last_seq int, $7 detail bytea
-- Index: none.
WITH stored AS (
  INSERT INTO signal (execution_id, number, kind, caller, reason, detail)
  VALUES ($1::uuid, $2::int, $3::smallint, $4::text, $5::text, $7::bytea)
),
fed AS (
  INSERT INTO feed (kind, ids, seqs)
  VALUES (2, ARRAY[$1::uuid], ARRAY[$6::int])
  RETURNING position
)
SELECT pg_notify('capstan_feed', '') IS NULL FROM fed
