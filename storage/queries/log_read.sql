-- Stored log bytes from an offset on, whole chunks, with the stored length and whether the execution has ended.
-- $1 execution_id uuid, $2 offset bigint, $3 limit in bytes bigint
-- Index: execution_pkey, log_chunk_pkey, outcome_pkey.
SELECT coalesce((
         SELECT c.start + c.length
         FROM log_chunk AS c
         WHERE c.execution_id = e.id
         ORDER BY c.start DESC
         LIMIT 1
       ), 0),
       EXISTS (SELECT FROM outcome AS o WHERE o.execution_id = e.id),
       (
         SELECT string_agg(CASE WHEN c.start < $2::bigint THEN substr(c.data, ($2::bigint - c.start + 1)::int) ELSE c.data END,
                           '' ORDER BY c.start)
         FROM log_chunk AS c
         WHERE c.execution_id = e.id
           AND c.start >= coalesce((
             SELECT f.start
             FROM log_chunk AS f
             WHERE f.execution_id = e.id
               AND f.start <= $2::bigint
             ORDER BY f.start DESC
             LIMIT 1
           ), 0)
           AND c.start < $2::bigint + $3::bigint
       )
FROM execution AS e
WHERE e.id = $1::uuid
