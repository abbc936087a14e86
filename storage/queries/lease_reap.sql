-- Frees leases of workers that are marked dead, counting a takeover; second of the two transactions of reaping.
-- FOR UPDATE waits for commits that hold their lease FOR SHARE, and makes those that come later fail their fence.
-- Index: worker_dead, lease_worker, lease_pkey.
WITH locked AS MATERIALIZED (
  SELECT l.id
  FROM lease AS l
  WHERE l.worker_id = ANY (ARRAY(SELECT w.id FROM worker AS w WHERE w.dead_at IS NOT NULL))
  ORDER BY l.id
  LIMIT 1000
  FOR UPDATE
)
UPDATE lease AS l
SET worker_id = NULL,
    epoch = l.epoch + 1,
    takeovers = l.takeovers + 1,
    due_at = clock_timestamp()
FROM locked AS k
WHERE l.id = k.id
  AND l.worker_id IS NOT NULL
RETURNING l.id, l.takeovers, cardinality(l.ids)
