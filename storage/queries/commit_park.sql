-- Parks executions whose step has just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 reason smallint[], $3 delay bigint[] (microseconds), $4 project text[] whose budget it waits for,
-- $5 and of which it needs more than so much bigint[] (microusd); both NULL: it waits for something else
-- Index: none.
INSERT INTO parked (execution_id, due_at, reason, project, project_needs)
SELECT i.execution_id, clock_timestamp() + i.delay * interval '1 microsecond', i.reason, i.project, i.project_needs
FROM unnest($1::uuid[], $2::smallint[], $3::bigint[], $4::text[], $5::bigint[])
  AS i (execution_id, reason, delay, project, project_needs)
