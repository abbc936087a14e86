-- Executions of any state that match, newest first.
-- $1 below this id uuid (NULL: from the newest), $2 action text (NULL: any), $3 not that action bool,
-- $4 parent_name text (NULL: any), $5 not that parent bool, $6 labels text (JSON, NULL: any), $7 limit bigint
-- Index: execution_pkey, or execution_parent.
SELECT e.id
FROM execution AS e
WHERE e.id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND ($2::text IS NULL OR (e.action = $2::text) <> $3::bool)
  AND ($4::text IS NULL OR (e.parent_name = $4::text AND NOT $5::bool)
       OR ($5::bool AND e.parent_name IS DISTINCT FROM $4::text))
  AND ($6::text IS NULL OR e.labels @> $6::text::jsonb)
ORDER BY e.id DESC
LIMIT $7::bigint
