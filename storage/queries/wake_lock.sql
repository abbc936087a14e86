-- Locks executions that are not leased, in order, leaving out those somebody else is at. First statement of waking: what
-- follows runs with a later snapshot.
-- $1 id uuid[]
-- Index: execution_pkey.
SELECT e.id
FROM execution AS e
WHERE e.id = ANY ($1::uuid[])
  AND e.lease_id IS NULL
ORDER BY e.id
FOR UPDATE SKIP LOCKED
