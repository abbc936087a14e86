-- Counts more signals of executions that have not ended, and says where they stand. In the transaction of the steps that send
-- them, and before waking: what follows runs with a later snapshot, so that it sees a park that was committed meanwhile.
-- $1 id uuid[] (distinct), $2 count int[]
-- Index: execution_pkey.
UPDATE execution AS e
SET signals = e.signals + n.count
FROM (SELECT unnest($1::uuid[]) AS id, unnest($2::int[]) AS count) AS n
WHERE e.id = n.id
  AND e.state NOT IN (6, 7, 8)
RETURNING e.id, e.signals, e.last_seq
