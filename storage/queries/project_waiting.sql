-- Executions that wait for the budget of a project and can do with so much of it, the oldest first.
-- $1 project text, $2 what is left in microusd bigint (NULL: it has no limit), $3 limit bigint
-- Index: parked_project.
SELECT p.execution_id
FROM parked AS p
WHERE p.project = $1::text
  AND ($2::bigint IS NULL OR p.project_needs < $2::bigint)
ORDER BY p.execution_id
LIMIT $3::bigint
