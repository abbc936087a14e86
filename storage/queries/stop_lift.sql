-- Lifts an emergency stop that is in force. stop_gate.sql comes first.
-- $1 id bigint, $2 caller text, $3 reason text
-- Index: stop_pkey.
UPDATE stop
SET lifted_at = clock_timestamp(),
    lifted_by = $2::text,
    lift_reason = $3::text
WHERE id = $1::bigint
  AND lifted_at IS NULL
RETURNING id
