-- Notes launches of steps that have just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 name_space text[]
-- Index: none.
INSERT INTO launch (execution_id, name_space)
SELECT i.execution_id, i.name_space
FROM unnest($1::uuid[], $2::text[]) AS i (execution_id, name_space)
