-- Notes that a worker takes nothing new.
-- $1 id uuid
-- Index: worker_pkey.
UPDATE worker
SET draining = true
WHERE id = $1::uuid
  AND dead_at IS NULL
