-- Rows with the events of one execution above a number, in order.
-- $1 execution_id uuid, $2 after seq int, $3 limit in rows bigint
-- Index: event_pkey.
SELECT v.seq, v.at, v.body
FROM event AS v
WHERE v.execution_id = $1::uuid
  AND v.seq > $2::int
ORDER BY v.seq
LIMIT $3::bigint
