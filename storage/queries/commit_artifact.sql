-- Stores artifacts of steps that have just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 name text[], $3 media_type text[], $4 body bytea[]
-- Index: none.
INSERT INTO artifact (execution_id, name, media_type, body)
SELECT i.execution_id, i.name, i.media_type, i.body
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[]) AS i (execution_id, name, media_type, body)
