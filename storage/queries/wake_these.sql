-- Locks executions that shall be woken, in order, waiting for whoever is at them. First statement of waking: what follows
-- runs with a later snapshot, so that it sees a park that was committed meanwhile.
-- $1 id uuid[]
-- Index: execution_pkey.
SELECT e.id
FROM execution AS e
WHERE e.id = ANY ($1::uuid[])
  AND e.lease_id IS NULL
ORDER BY e.id
FOR UPDATE
