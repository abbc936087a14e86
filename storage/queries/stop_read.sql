-- One emergency stop.
-- $1 id bigint
-- Index: stop_pkey.
SELECT s.id, s.scope, s.subject, s.reason, s.caller, s.created_at, s.lifted_at
FROM stop AS s
WHERE s.id = $1::bigint
