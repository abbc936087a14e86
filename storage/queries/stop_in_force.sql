-- Emergency stops in force, newest first. All of them, since launches are tested against them: they are as many as people
-- have made.
-- Index: stop_in_force.
SELECT s.id, s.scope, s.subject, s.reason, s.caller, s.created_at, s.lifted_at
FROM stop AS s
WHERE s.lifted_at IS NULL
ORDER BY s.id DESC
