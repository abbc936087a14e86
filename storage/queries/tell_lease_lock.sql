-- Locks the leases of a flush of steps that tell others something, in order, as commit.sql does. Before tell_lock.sql: leases
-- come before executions.
-- $1 distinct lease ids bigint[]
-- Index: lease_pkey.
SELECT l.id
FROM lease AS l
WHERE l.id = ANY ($1::bigint[])
ORDER BY l.id
FOR SHARE
