-- Makes an emergency stop; the same caller and request id again give the one that is there. The last column tells which.
-- stop_gate.sql comes first.
-- $1 scope smallint, $2 subject text, $3 caller text, $4 reason text, $5 request_id text ('': none)
-- Index: stop_request.
WITH made AS (
  INSERT INTO stop (scope, subject, caller, reason, request_id)
  VALUES ($1::smallint, $2::text, $3::text, $4::text, $5::text)
  ON CONFLICT (caller, request_id) WHERE request_id <> '' DO NOTHING
  RETURNING id, scope, subject, reason, caller, created_at, lifted_at
)
SELECT m.id, m.scope, m.subject, m.reason, m.caller, m.created_at, m.lifted_at, true
FROM made AS m
UNION ALL
SELECT s.id, s.scope, s.subject, s.reason, s.caller, s.created_at, s.lifted_at, false
FROM stop AS s
WHERE s.caller = $3::text
  AND s.request_id = $5::text
  AND $5::text <> ''
