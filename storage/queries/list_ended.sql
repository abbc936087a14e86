-- Ended executions that match, newest first.
-- $1 below this id uuid (NULL: from the newest), $2 action text (NULL: any), $3 not that action bool,
-- $4 parent_name text (NULL: any), $5 not that parent bool, $6 labels text (JSON, NULL: any), $7 limit bigint,
-- $8 states smallint[]
-- Index: outcome_pkey or outcome_unsuccessful, execution_pkey.
SELECT o.execution_id
FROM outcome AS o
JOIN execution AS e ON e.id = o.execution_id
WHERE o.execution_id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND o.state = ANY ($8::smallint[])
  AND ($2::text IS NULL OR (e.action = $2::text) <> $3::bool)
  AND ($4::text IS NULL OR (e.parent_name = $4::text AND NOT $5::bool)
       OR ($5::bool AND e.parent_name IS DISTINCT FROM $4::text))
  AND ($6::text IS NULL OR e.labels @> $6::text::jsonb)
ORDER BY o.execution_id DESC
LIMIT $7::bigint
