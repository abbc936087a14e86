-- Where an execution stands beside its events: who holds its lease, whether it is ready, and what it is parked for.
-- $1 id uuid
-- Index: execution_pkey, lease_pkey, parked_pkey, worker_pkey.
SELECT e.lease_id IS NOT NULL,
       l.worker_id,
       l.due_at,
       p.reason,
       p.due_at,
       (SELECT count(*) FROM worker AS w WHERE w.dead_at IS NULL AND NOT w.draining)
FROM execution AS e
LEFT JOIN lease AS l ON l.id = e.lease_id
LEFT JOIN parked AS p ON p.execution_id = e.id
WHERE e.id = $1::uuid
