-- The heartbeats of the other workers that are not marked dead.
-- $1 own id uuid
-- Index: none; one small row a living worker, the dead are deleted after a day.
SELECT w.id, (extract(epoch FROM w.heartbeat_at) * 1000000)::bigint
FROM worker AS w
WHERE w.dead_at IS NULL
  AND w.id <> $1::uuid
