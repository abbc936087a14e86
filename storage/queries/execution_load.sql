-- Where executions stand, and which lease they name. An array and not a join, so that partitions which cannot hold them are
-- left out once and not for every row; it takes the two ends to see which those are.
-- $1 id uuid[], $2 the least of them uuid, $3 the greatest uuid
-- Index: execution_pkey.
SELECT e.id, e.lease_id, e.state, e.last_seq, e.signals, e.machine, e.queue
FROM execution AS e
WHERE e.id = ANY ($1::uuid[])
  AND e.id BETWEEN $2::uuid AND $3::uuid
