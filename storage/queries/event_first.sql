-- The rows with event 1 of executions; as execution_load.sql.
-- $1 execution_id uuid[], $2 the least of them uuid, $3 the greatest uuid
-- Index: event_pkey.
SELECT v.execution_id, v.at, v.body
FROM event AS v
WHERE v.execution_id = ANY ($1::uuid[])
  AND v.execution_id BETWEEN $2::uuid AND $3::uuid
  AND v.seq = 1
