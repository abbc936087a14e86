-- Gives all leases of a worker back, unowned, without counting a takeover.
-- $1 worker_id uuid
-- Index: lease_worker, lease_pkey.
WITH locked AS MATERIALIZED (
  SELECT l.id
  FROM lease AS l
  WHERE l.worker_id = $1::uuid
  ORDER BY l.id
  FOR UPDATE
)
UPDATE lease AS l
SET worker_id = NULL,
    epoch = l.epoch + 1,
    due_at = clock_timestamp()
FROM locked AS k
WHERE l.id = k.id
RETURNING l.id
