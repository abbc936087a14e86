-- Marks a worker dead whose heartbeat has not moved since it was looked at; first of the two transactions of reaping.
-- $1 id uuid, $2 heartbeat_at as seen (microseconds since 1970) bigint (NULL: whatever it is)
-- Index: worker_pkey.
UPDATE worker
SET dead_at = clock_timestamp()
WHERE id = $1::uuid
  AND dead_at IS NULL
  AND ($2::bigint IS NULL OR (extract(epoch FROM heartbeat_at) * 1000000)::bigint = $2::bigint)
RETURNING id
