-- Deletes leases of a worker that no execution names.
-- $1 worker_id uuid, $2 lease id bigint[], $3 epoch int[]
-- Index: lease_pkey, execution_pkey.
DELETE FROM lease AS l
USING unnest($2::bigint[], $3::int[]) AS i (id, epoch)
WHERE l.id = i.id
  AND l.epoch = i.epoch
  AND l.worker_id = $1::uuid
  AND NOT EXISTS (
    SELECT FROM unnest(l.ids) AS u (id)
    JOIN execution AS e ON e.id = u.id
    WHERE e.lease_id = l.id
  )
