-- Leases held by a worker, with what they list.
-- IS TRUE keeps the planner from going by worker, through every lease that this one has had.
-- $1 worker_id uuid, $2 id bigint[], $3 epoch int[]
-- Index: lease_pkey.
SELECT l.id, l.epoch, l.takeovers, clock_timestamp() - l.due_at, l.ids, l.priority
FROM lease AS l
WHERE l.id = ANY ($2::bigint[])
  AND (l.worker_id = $1::uuid) IS TRUE
  AND ((l.id, l.epoch) IN (SELECT i.id, i.epoch FROM unnest($2::bigint[], $3::int[]) AS i (id, epoch))) IS TRUE
