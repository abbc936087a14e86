-- Appends log bytes under the fence of lease and execution.lease_id, without what is stored already. Returns how much was
-- stored before; no row: fenced.
-- $1 execution_id uuid, $2 lease_id bigint, $3 epoch int, $4 offset bigint, $5 data bytea
-- Index: lease_pkey, execution_pkey, log_chunk_pkey.
WITH held AS MATERIALIZED (
  SELECT l.id
  FROM lease AS l
  WHERE l.id = $2::bigint
    AND l.epoch = $3::int
  FOR SHARE
),
owned AS MATERIALIZED (
  SELECT e.id
  FROM execution AS e
  JOIN held AS h ON h.id = e.lease_id
  WHERE e.id = $1::uuid
),
stored AS MATERIALIZED (
  SELECT o.id, coalesce((
    SELECT c.start + c.length
    FROM log_chunk AS c
    WHERE c.execution_id = o.id
    ORDER BY c.start DESC
    LIMIT 1
  ), 0) AS length
  FROM owned AS o
),
appended AS (
  INSERT INTO log_chunk (execution_id, start, length, data)
  SELECT s.id, s.length, $4::bigint + octet_length($5::bytea) - s.length, substr($5::bytea, (s.length - $4::bigint + 1)::int)
  FROM stored AS s
  WHERE s.length >= $4::bigint
    AND s.length < $4::bigint + octet_length($5::bytea)
)
SELECT s.length FROM stored AS s
