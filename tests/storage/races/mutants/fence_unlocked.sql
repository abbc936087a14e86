-- Mutant of the fence of commit.sql that reads the lease without locking it: the lease may be taken over while the step
-- waits for its execution.
-- $1 id uuid, $2 lease_id bigint, $3 epoch int, $4 seq int
WITH held AS MATERIALIZED (
  SELECT l.id
  FROM lease AS l
  WHERE l.id = $2::bigint
    AND l.epoch = $3::int
)
UPDATE execution AS e
SET last_seq = e.last_seq + 1,
    machine = 'stale'
FROM held AS h
WHERE e.id = $1::uuid
  AND e.lease_id = h.id
  AND e.last_seq = $4::int
RETURNING e.id
