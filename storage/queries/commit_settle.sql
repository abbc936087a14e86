-- Why steps did not pass commit.sql: whether the lease is still ours, where the execution stands, and whether the step's
-- events are stored as they are (an earlier try of the same flush was committed).
-- $1 id uuid[], $2 lease_id bigint[], $3 epoch int[], $4 number of its last event int[], $5 body bytea[] (of the row)
-- Index: execution_pkey, lease_pkey, event_pkey.
SELECT i.number::int,
       EXISTS (SELECT FROM lease AS l WHERE l.id = i.lease_id AND l.epoch = i.epoch AND e.lease_id = l.id),
       e.last_seq,
       e.signals,
       EXISTS (SELECT FROM event AS v WHERE v.execution_id = i.id AND v.seq = i.seq AND v.body = i.body)
FROM unnest($1::uuid[], $2::bigint[], $3::int[], $4::int[], $5::bytea[]) WITH ORDINALITY
  AS i (id, lease_id, epoch, seq, body, number)
JOIN execution AS e ON e.id = i.id
