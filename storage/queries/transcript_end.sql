-- The number of the last entry of a transcript, and whether the execution has ended; no row: no such execution.
-- $1 execution_id uuid
-- Index: execution_pkey, transcript_pkey, outcome_pkey.
SELECT coalesce((
         SELECT t.number
         FROM transcript AS t
         WHERE t.execution_id = e.id
         ORDER BY t.number DESC
         LIMIT 1
       ), 0),
       EXISTS (SELECT FROM outcome AS o WHERE o.execution_id = e.id)
FROM execution AS e
WHERE e.id = $1::uuid
