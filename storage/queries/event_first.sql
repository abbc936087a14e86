-- The rows with event 1 of executions.
-- $1 execution_id uuid[]
-- Index: event_pkey.
SELECT v.execution_id, v.at, v.body
FROM event AS v
WHERE v.execution_id = ANY ($1::uuid[])
  AND v.seq = 1
