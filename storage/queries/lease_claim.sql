-- Gives ready leases to a living worker, in order, while their executions fit into its free slots (the first always fits).
-- The window over row_number() stops the scan early, so no more leases are locked than could be taken.
-- Returns them with what they list; what is listed is loaded in a later statement, which sees it as it is then.
-- $1 worker_id uuid, $2 queue smallint, $3 free slots bigint
-- Index: lease_ready, worker_pkey.
WITH alive AS MATERIALIZED (
  SELECT w.id
  FROM worker AS w
  WHERE w.id = $1::uuid
    AND w.dead_at IS NULL
  FOR SHARE
)
UPDATE lease
SET worker_id = $1::uuid,
    epoch = epoch + 1
WHERE ctid = ANY (ARRAY(
    SELECT c.row
    FROM (
      SELECT r.row,
             row_number() OVER (ORDER BY r.priority, r.id) AS place,
             sum(r.size) OVER (ORDER BY r.priority, r.id) AS used
      FROM (
        SELECT l.ctid AS row, l.priority, l.id, cardinality(l.ids) AS size
        FROM lease AS l
        WHERE l.queue = $2::smallint
          AND l.worker_id IS NULL
          AND l.due_at <= clock_timestamp()
          AND EXISTS (SELECT FROM alive)
        ORDER BY l.priority, l.id
        LIMIT 64
        FOR UPDATE SKIP LOCKED
      ) AS r
    ) AS c
    WHERE c.place <= $3::bigint
      AND (c.place = 1 OR c.used <= $3::bigint)
  ))
RETURNING id, epoch, takeovers, clock_timestamp() - due_at, ids, priority
