-- Parks executions whose step has just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 reason smallint[], $3 delay bigint[] (microseconds)
-- Index: none.
INSERT INTO parked (execution_id, due_at, reason)
SELECT i.execution_id, clock_timestamp() + i.delay * interval '1 microsecond', i.reason
FROM unnest($1::uuid[], $2::smallint[], $3::bigint[]) AS i (execution_id, reason, delay)
