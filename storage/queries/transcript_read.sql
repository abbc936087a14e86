-- Entries of a transcript above a number, in order.
-- $1 execution_id uuid, $2 after bigint, $3 step text (NULL: any), $4 limit bigint
-- Index: transcript_pkey.
SELECT t.number, t.at, t.step, t.attempt, t.iteration, t.role, t.body
FROM transcript AS t
WHERE t.execution_id = $1::uuid
  AND t.number > $2::bigint
  AND ($3::text IS NULL OR t.step = $3::text)
ORDER BY t.number
LIMIT $4::bigint
