-- Notes executions as in flight or in line, of steps that have just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 parent text[], $3 in flight bool[]
-- Index: sibling_pkey.
INSERT INTO sibling (execution_id, parent, in_flight)
SELECT i.execution_id, i.parent, i.in_flight
FROM unnest($1::uuid[], $2::text[], $3::bool[]) AS i (execution_id, parent, in_flight)
ON CONFLICT (execution_id) DO UPDATE SET in_flight = excluded.in_flight
