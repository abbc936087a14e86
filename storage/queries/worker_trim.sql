-- Forgets workers that were marked dead more than a day ago and hold nothing.
-- Index: worker_dead, lease_worker.
DELETE FROM worker AS w
WHERE w.dead_at < now() - interval '1 day'
  AND NOT EXISTS (SELECT FROM lease AS l WHERE l.worker_id = w.id)
