-- Takes executions out that are neither in flight nor in line any more.
-- $1 execution_id uuid[]
-- Index: sibling_pkey.
DELETE FROM sibling AS s
WHERE s.execution_id = ANY ($1::uuid[])
