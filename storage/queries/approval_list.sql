-- Executions with an open approval, above an id, oldest first.
-- $1 above this id uuid, $2 limit bigint
-- Index: approval_open.
SELECT a.execution_id, a.number, a.requested_at
FROM approval AS a
WHERE a.state = 1
  AND a.execution_id > $1::uuid
ORDER BY a.execution_id
LIMIT $2::bigint
