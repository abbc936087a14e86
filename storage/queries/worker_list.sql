-- Workers that live, and those that were lost in the last hour; newest first, with what they hold.
-- Index: worker_pkey, lease_worker, execution_pkey.
SELECT w.id, w.host, w.version, w.draining, w.dead_at IS NOT NULL, w.started_at, w.heartbeat_at,
       (
         SELECT count(*)
         FROM lease AS l
         CROSS JOIN LATERAL unnest(l.ids) AS u (id)
         JOIN execution AS e ON e.id = u.id AND e.lease_id = l.id
         WHERE l.worker_id = w.id
       )
FROM worker AS w
WHERE w.dead_at IS NULL
   OR w.dead_at > now() - interval '1 hour'
ORDER BY w.id DESC
LIMIT 1000
