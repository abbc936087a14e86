-- Some artifacts of one execution, those that exist.
-- $1 execution_id uuid, $2 name text[]
-- Index: artifact_pkey.
SELECT a.name, a.media_type, a.body
FROM artifact AS a
WHERE a.execution_id = $1::uuid
  AND a.name = ANY ($2::text[])
