-- Stores policy decisions of steps that have just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 number int[], $3 allow bool[], $4 bundle_digest text[], $5 input_json text[],
-- $6 result_json text[]
-- Index: none.
INSERT INTO policy_decision (execution_id, number, allow, bundle_digest, input_json, result_json)
SELECT i.execution_id, i.number, i.allow, i.bundle_digest, i.input_json, i.result_json
FROM unnest($1::uuid[], $2::int[], $3::bool[], $4::text[], $5::text[], $6::text[])
  AS i (execution_id, number, allow, bundle_digest, input_json, result_json)
