-- Gives leases of a worker back, unowned, without counting a takeover.
-- $1 worker_id uuid, $2 lease id bigint[], $3 epoch int[]
-- Index: lease_pkey.
WITH locked AS MATERIALIZED (
  SELECT l.id
  FROM lease AS l
  JOIN unnest($2::bigint[], $3::int[]) AS i (id, epoch) ON l.id = i.id AND l.epoch = i.epoch
  WHERE l.worker_id = $1::uuid
  ORDER BY l.id
  FOR UPDATE OF l
)
UPDATE lease AS l
SET worker_id = NULL,
    epoch = l.epoch + 1,
    due_at = clock_timestamp()
FROM locked AS k
WHERE l.id = k.id
RETURNING l.id
