-- Mutant of lease_claim.sql that loads in the claiming statement: the lease is the newest, the execution as old as the
-- statement's snapshot.
-- $1 worker_id uuid
WITH alive AS MATERIALIZED (
  SELECT w.id FROM worker AS w WHERE w.id = $1::uuid AND w.dead_at IS NULL FOR SHARE
),
taken AS (
  UPDATE lease AS l
  SET worker_id = a.id,
      epoch = l.epoch + 1
  FROM alive AS a
  WHERE l.worker_id IS NULL
  RETURNING l.id, l.epoch, l.ids
)
SELECT t.id, t.epoch, e.last_seq
FROM taken AS t
CROSS JOIN LATERAL unnest(t.ids) AS u (id)
JOIN execution AS e ON e.id = u.id AND e.lease_id = t.id
