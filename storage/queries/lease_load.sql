-- The executions that name leases held by a worker, with event 1.
-- OFFSET 0 and MATERIALIZED fix the order of work: leases, then what they list, then one look-up each.
-- $1 worker_id uuid, $2 lease id bigint[], $3 epoch int[], $4 only these executions uuid[] (empty: all)
-- Index: lease_pkey, execution_pkey, event_pkey.
WITH held AS MATERIALIZED (
  SELECT l.*
  FROM lease AS l
  WHERE l.id = ANY ($2::bigint[])
    AND l.worker_id = $1::uuid
    AND ((l.id, l.epoch) IN (SELECT i.id, i.epoch FROM unnest($2::bigint[], $3::int[]) AS i (id, epoch))) IS TRUE
),
listed AS MATERIALIZED (
  SELECT u.id, h.id AS lease_id, h.epoch, h.takeovers, cardinality(h.ids) = 1 AS alone, h.due_at, h.priority
  FROM held AS h
  CROSS JOIN LATERAL unnest(h.ids) AS u (id)
  WHERE cardinality($4::uuid[]) = 0
     OR u.id = ANY ($4::uuid[])
)
SELECT n.lease_id, n.epoch, n.takeovers, n.alone,
       e.id, e.state, e.last_seq, e.signals, e.machine,
       v.body, v.at, clock_timestamp() - n.due_at
FROM listed AS n
CROSS JOIN LATERAL (
  SELECT c.* FROM execution AS c WHERE c.id = n.id AND c.lease_id = n.lease_id OFFSET 0
) AS e
CROSS JOIN LATERAL (
  SELECT f.at, f.body FROM event AS f WHERE f.execution_id = n.id AND f.seq = 1 OFFSET 0
) AS v
ORDER BY n.priority, n.lease_id, n.id
