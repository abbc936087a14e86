-- Looks at executions above an id, in order: whether each is stranded, that is, not ended and listed by no lease it names
-- and not parked. One snapshot, so a step that is being committed is seen wholly or not at all.
-- OFFSET 0 keeps the planner from reading all of parked into a hash table.
-- $1 after id uuid
-- Index: execution_pkey, lease_pkey, parked_pkey.
SELECT s.id,
       s.state NOT IN (6, 7, 8)
         AND NOT EXISTS (SELECT FROM lease AS l WHERE l.id = s.lease_id AND s.id = ANY (l.ids))
         AND (s.lease_id IS NOT NULL OR NOT EXISTS (SELECT FROM parked AS p WHERE p.execution_id = s.id OFFSET 0))
FROM (
  SELECT e.id, e.state, e.lease_id
  FROM execution AS e
  WHERE e.id > $1::uuid
  ORDER BY e.id
  LIMIT 1000
) AS s
ORDER BY s.id
