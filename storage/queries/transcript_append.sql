-- Appends entries to a transcript under the fence of lease and execution.lease_id, without what is stored already. Returns
-- the last number that was stored before; no row: fenced.
-- $1 execution_id uuid, $2 lease_id bigint, $3 epoch int, $4 number of the first entry bigint, $5 step text[],
-- $6 attempt int[], $7 iteration int[], $8 role smallint[], $9 body text[]
-- Index: lease_pkey, execution_pkey, transcript_pkey.
WITH held AS MATERIALIZED (
  SELECT l.id
  FROM lease AS l
  WHERE l.id = $2::bigint
    AND l.epoch = $3::int
  FOR SHARE
),
owned AS MATERIALIZED (
  SELECT e.id
  FROM execution AS e
  JOIN held AS h ON h.id = e.lease_id
  WHERE e.id = $1::uuid
),
stored AS MATERIALIZED (
  SELECT o.id, coalesce((
    SELECT t.number
    FROM transcript AS t
    WHERE t.execution_id = o.id
    ORDER BY t.number DESC
    LIMIT 1
  ), 0) AS last
  FROM owned AS o
),
appended AS (
  INSERT INTO transcript (execution_id, number, step, attempt, iteration, role, body)
  SELECT s.id, $4::bigint + i.place - 1, i.step, i.attempt, i.iteration, i.role, i.body
  FROM stored AS s
  CROSS JOIN unnest($5::text[], $6::int[], $7::int[], $8::smallint[], $9::text[]) WITH ORDINALITY
    AS i (step, attempt, iteration, role, body, place)
  WHERE s.last >= $4::bigint - 1
    AND $4::bigint + i.place - 1 > s.last
)
SELECT s.last FROM stored AS s
