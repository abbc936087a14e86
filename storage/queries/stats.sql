-- Figures for metrics: ready work by queue, parked executions, living workers, age of the oldest snapshot of the server.
-- Index: lease_ready, worker_pkey.
WITH ready AS MATERIALIZED (
  SELECT l.queue,
         sum(cardinality(l.ids))::bigint AS executions,
         max((extract(epoch FROM clock_timestamp() - l.due_at) * 1000000)::bigint) AS oldest
  FROM lease AS l
  WHERE l.worker_id IS NULL
    AND l.due_at <= clock_timestamp()
  GROUP BY l.queue
)
SELECT ARRAY(SELECT r.queue FROM ready AS r ORDER BY r.queue),
       ARRAY(SELECT r.executions FROM ready AS r ORDER BY r.queue),
       ARRAY(SELECT r.oldest FROM ready AS r ORDER BY r.queue),
       (SELECT count(*) FROM parked),
       (SELECT count(*) FROM worker AS w WHERE w.dead_at IS NULL),
       (
         SELECT coalesce(max((extract(epoch FROM clock_timestamp() - a.xact_start) * 1000000)::bigint), 0)
         FROM pg_stat_activity AS a
         WHERE a.backend_xmin IS NOT NULL
           AND a.pid <> pg_backend_pid()
       )
