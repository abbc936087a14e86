-- Why steps did not pass commit.sql: whether the lease is still ours, where the execution stands, and how many of the
-- step's events are stored as they are (all of them: an earlier try of the same flush was committed).
-- $1 id uuid[], $2 lease_id bigint[], $3 epoch int[],
-- events: $4 number int[] (of the step, from 1), $5 seq int[], $6 kind smallint[], $7 body bytea[]
-- Index: execution_pkey, lease_pkey, event_pkey.
SELECT i.number::int,
       EXISTS (SELECT FROM lease AS l WHERE l.id = i.lease_id AND l.epoch = i.epoch AND e.lease_id = l.id),
       e.last_seq,
       e.signals,
       (
         SELECT count(*)
         FROM unnest($4::int[], $5::int[], $6::smallint[], $7::bytea[]) AS v (number, seq, kind, body)
         JOIN event AS s ON s.execution_id = i.id AND s.seq = v.seq
         WHERE v.number = i.number AND s.kind = v.kind AND s.body = v.body
       )
FROM unnest($1::uuid[], $2::bigint[], $3::int[]) WITH ORDINALITY AS i (id, lease_id, epoch, number)
JOIN execution AS e ON e.id = i.id
