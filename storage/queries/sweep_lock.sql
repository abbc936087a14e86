-- Locks executions that may be stranded, in order.
-- $1 id uuid[]
-- Index: execution_pkey.
SELECT e.id
FROM execution AS e
WHERE e.id = ANY ($1::uuid[])
ORDER BY e.id
FOR UPDATE SKIP LOCKED
