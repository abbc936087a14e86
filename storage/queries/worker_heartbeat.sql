-- Moves a living worker's heartbeat to the database's time; no row: it is marked dead.
-- $1 id uuid
-- Index: worker_pkey.
UPDATE worker
SET heartbeat_at = clock_timestamp()
WHERE id = $1::uuid
  AND dead_at IS NULL
RETURNING heartbeat_at
