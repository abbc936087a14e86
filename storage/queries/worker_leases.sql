-- The leases held in a worker's name.
-- $1 worker_id uuid
-- Index: lease_worker.
SELECT l.id, l.epoch
FROM lease AS l
WHERE l.worker_id = $1::uuid
ORDER BY l.id
