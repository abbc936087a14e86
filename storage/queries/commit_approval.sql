-- Stores where approvals stand after steps that have just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 number int[], $3 state smallint[], $4 expires_at bigint[] (microseconds since 1970),
-- $5 plan_digest text[]
-- Index: approval_pkey.
INSERT INTO approval (execution_id, number, state, expires_at, plan_digest)
SELECT i.execution_id, i.number, i.state, to_timestamp(i.expires_at / 1000000.0), i.plan_digest
FROM unnest($1::uuid[], $2::int[], $3::smallint[], $4::bigint[], $5::text[])
  AS i (execution_id, number, state, expires_at, plan_digest)
ON CONFLICT (execution_id, number) DO UPDATE
SET state = excluded.state
