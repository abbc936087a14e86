-- Gives a lease of its own to each of some locked executions that is stranded. Returns how many.
-- OFFSET 0 keeps the planner from reading all of parked into a hash table.
-- $1 id uuid[]
-- Index: execution_pkey, lease_pkey, parked_pkey.
WITH stranded AS MATERIALIZED (
  SELECT nextval('lease_block') * 1024 AS lease_id, e.id, e.queue, e.priority
  FROM execution AS e
  WHERE e.id = ANY ($1::uuid[])
    AND e.state NOT IN (6, 7, 8)
    AND NOT EXISTS (SELECT FROM lease AS l WHERE l.id = e.lease_id AND e.id = ANY (l.ids))
    AND (e.lease_id IS NOT NULL OR NOT EXISTS (SELECT FROM parked AS p WHERE p.execution_id = e.id OFFSET 0))
),
unparked AS (
  DELETE FROM parked AS p
  WHERE p.execution_id = ANY (ARRAY(SELECT s.id FROM stranded AS s))
),
leased AS (
  INSERT INTO lease (id, queue, priority, ids)
  SELECT s.lease_id, s.queue, s.priority, ARRAY[s.id]
  FROM stranded AS s
),
bound AS (
  UPDATE execution AS e
  SET lease_id = s.lease_id
  FROM stranded AS s
  WHERE e.id = s.id
  RETURNING e.id
)
SELECT count(*) FROM bound
