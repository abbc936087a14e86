-- A new worker process.
-- $1 id uuid, $2 host text, $3 version text
-- Index: worker_pkey.
INSERT INTO worker (id, host, version)
VALUES ($1::uuid, $2::text, $3::text)
