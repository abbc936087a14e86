-- Locks the executions of a flush of steps and those that they tell something, all in one order: two flushes whose executions
-- tell each other's do not wait for each other.
-- $1 id uuid[]
-- Index: execution_pkey.
SELECT e.id
FROM execution AS e
WHERE e.id = ANY ($1::uuid[])
ORDER BY e.id
FOR UPDATE
