-- Where executions stand, and which lease they name. An array, not a join: the partitions that cannot hold them are left
-- out once, not for every row.
-- $1 id uuid[]
-- Index: execution_pkey.
SELECT e.id, e.lease_id, e.state, e.last_seq, e.signals, e.machine
FROM execution AS e
WHERE e.id = ANY ($1::uuid[])
