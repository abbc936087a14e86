-- Emergency stops in force, newest first.
-- Index: stop_in_force.
SELECT s.id, s.scope, s.subject, s.reason, s.caller, s.created_at, s.lifted_at
FROM stop AS s
WHERE s.lifted_at IS NULL
ORDER BY s.id DESC
LIMIT 1000
