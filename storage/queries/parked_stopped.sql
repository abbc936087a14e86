-- Executions that wait for a stop to be lifted, above an id, oldest first.
-- $1 above this id uuid, $2 limit bigint
-- Index: parked_stopped.
SELECT p.execution_id
FROM parked AS p
WHERE p.reason = 7
  AND p.execution_id > $1::uuid
ORDER BY p.execution_id
LIMIT $2::bigint
