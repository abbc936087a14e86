-- Executions that have not ended and match, newest first: what leases and parked rows name.
-- $1 below this id uuid (NULL: from the newest), $2 action text (NULL: any), $3 not that action bool,
-- $4 parent_name text (NULL: any), $5 not that parent bool, $6 labels text (JSON, NULL: any), $7 limit bigint,
-- $8 states smallint[] (empty: any)
-- Index: execution_pkey; reads lease and parked, which hold only what lives.
SELECT e.id
FROM (
  SELECT u.id
  FROM lease AS l
  CROSS JOIN LATERAL unnest(l.ids) AS u (id)
  UNION
  SELECT p.execution_id
  FROM parked AS p
) AS live
JOIN execution AS e ON e.id = live.id
WHERE e.id < coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
  AND e.state NOT IN (6, 7, 8)
  AND (cardinality($8::smallint[]) = 0 OR e.state = ANY ($8::smallint[]))
  AND ($2::text IS NULL OR (e.action = $2::text) <> $3::bool)
  AND ($4::text IS NULL OR (e.parent_name = $4::text AND NOT $5::bool)
       OR ($5::bool AND e.parent_name IS DISTINCT FROM $4::text))
  AND ($6::text IS NULL OR e.labels @> $6::text::jsonb)
ORDER BY e.id DESC
LIMIT $7::bigint
