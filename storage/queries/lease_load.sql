-- The executions that name leases held by a worker, with event 1.
-- $1 worker_id uuid, $2 lease id bigint[], $3 epoch int[], $4 only these executions uuid[] (empty: all)
-- Index: lease_pkey, execution_pkey, event_pkey.
SELECT l.id, l.epoch, l.takeovers, cardinality(l.ids) = 1,
       e.id, e.state, e.last_seq, e.signals, e.machine,
       v.kind, v.body, v.at, clock_timestamp() - l.due_at
FROM unnest($2::bigint[], $3::int[]) AS i (id, epoch)
JOIN lease AS l ON l.id = i.id AND l.epoch = i.epoch AND l.worker_id = $1::uuid
CROSS JOIN LATERAL unnest(l.ids) AS u (id)
JOIN execution AS e ON e.id = u.id AND e.lease_id = l.id
JOIN event AS v ON v.execution_id = e.id AND v.seq = 1
WHERE cardinality($4::uuid[]) = 0
   OR e.id = ANY ($4::uuid[])
ORDER BY l.priority, l.id, e.id
