-- Stored policy decisions of executions submitted since a moment, above a row, by execution and number: whole ones up to
-- limits, the first whatever its size; with how many there were up to the limit and one more.
-- $1 execution_id uuid (NULL: any), $2 since in milliseconds of the Unix epoch bigint, $3 above execution_id uuid,
-- $4 and number int, $5 limit bigint, $6 limit in bytes bigint
-- Index: policy_decision_pkey.
SELECT p.execution_id, p.number, p.at, p.allow, p.bundle_digest, p.input_json, p.result_json, p.found
FROM (
  SELECT d.execution_id, d.number, d.at, d.allow, d.bundle_digest, d.input_json, d.result_json,
         count(*) OVER () AS found,
         row_number() OVER running AS place,
         sum(octet_length(d.input_json) + octet_length(d.result_json)) OVER running AS bytes
  FROM (
    SELECT s.execution_id, s.number, s.at, s.allow, s.bundle_digest, s.input_json, s.result_json
    FROM policy_decision AS s
    WHERE s.execution_id >= greatest(coalesce($1::uuid, $3::uuid), uuid_floor(to_timestamp($2::bigint / 1000.0)))
      AND s.execution_id <= coalesce($1::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
      AND (s.execution_id, s.number) > ($3::uuid, $4::int)
    ORDER BY s.execution_id, s.number
    LIMIT $5::bigint + 1
  ) AS d
  WINDOW running AS (ORDER BY d.execution_id, d.number)
) AS p
WHERE p.place <= $5::bigint
  AND (p.place = 1 OR p.bytes <= $6::bigint)
ORDER BY p.execution_id, p.number
