-- Stores a flush of steps under the three-test fence: lease held under its epoch, execution.lease_id, last_seq; and
-- execution.signals where given. Steps that pass are stored with their events, outcome, one feed row and one
-- notification; leases that no execution names any more are deleted. Returns the numbers (from 1) of those that passed.
-- $1 id uuid[] (sorted), $2 lease_id bigint[], $3 epoch int[], $4 seq int[], $5 signals int[] (NULL: any),
-- $6 events int[] (how many), $7 state smallint[], $8 failure_reason smallint[], $9 machine bytea[],
-- $10 leaves bool[] (gives the lease back), $11 body bytea[] (of the row with its events), $12 distinct lease ids bigint[]
-- The arrays are unnested as columns, side by side: as one function of FROM each of them is first written to a store of its
-- own, which costs four times as much.
-- IS TRUE keeps the planner from making joins of IN; hashed look-ups are what is wanted.
-- Index: lease_pkey, execution_pkey.
WITH held AS MATERIALIZED (
  SELECT l.id, l.epoch
  FROM lease AS l
  WHERE l.id = ANY ($12::bigint[])
  ORDER BY l.id
  FOR SHARE
),
allowed AS MATERIALIZED (
  SELECT i.*
  FROM (
    SELECT unnest($1::uuid[]) AS id, unnest($2::bigint[]) AS lease_id, unnest($3::int[]) AS epoch, unnest($4::int[]) AS seq,
           unnest($5::int[]) AS signals, unnest($6::int[]) AS events, unnest($7::smallint[]) AS state,
           unnest($8::smallint[]) AS failure_reason, unnest($9::bytea[]) AS machine, unnest($10::bool[]) AS leaves,
           unnest($11::bytea[]) AS body, generate_subscripts($1::uuid[], 1) AS number
  ) AS i
  WHERE ((i.lease_id, i.epoch) IN (SELECT h.id, h.epoch FROM held AS h)) IS TRUE
),
moved AS (
  UPDATE execution AS e
  SET state = i.state,
      last_seq = e.last_seq + i.events,
      machine = i.machine,
      lease_id = CASE WHEN i.leaves THEN NULL ELSE e.lease_id END
  FROM allowed AS i
  WHERE e.id = i.id
    AND e.lease_id = i.lease_id
    AND e.last_seq = i.seq
    AND (i.signals IS NULL OR e.signals = i.signals)
  RETURNING i.number, e.id, e.last_seq, e.state, i.failure_reason, i.leaves, i.lease_id AS left_lease, i.events, i.body
),
logged AS (
  INSERT INTO event (execution_id, seq, events, body)
  SELECT m.id, m.last_seq, m.events, m.body
  FROM moved AS m
),
ended AS (
  INSERT INTO outcome (execution_id, state, failure_reason)
  SELECT m.id, m.state, m.failure_reason
  FROM moved AS m
  WHERE m.state IN (6, 7, 8)
),
fed AS (
  INSERT INTO feed (kind, ids, seqs)
  SELECT 1, array_agg(m.id), array_agg(m.last_seq)
  FROM moved AS m
  HAVING count(*) > 0
  RETURNING position
),
emptied AS (
  DELETE FROM lease AS l
  WHERE l.id = ANY (ARRAY(SELECT m.left_lease FROM moved AS m WHERE m.leaves))
    AND NOT EXISTS (
      SELECT FROM unnest(l.ids) AS u (id)
      JOIN execution AS e ON e.id = u.id
      WHERE e.lease_id = l.id
        AND u.id NOT IN (SELECT m.id FROM moved AS m WHERE m.leaves)
    )
)
SELECT ARRAY(SELECT m.number::int FROM moved AS m),
       (SELECT pg_notify('capstan_feed', '') IS NULL FROM fed)
