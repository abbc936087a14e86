-- Parked executions that are due, oldest first.
-- Index: parked_due.
SELECT p.execution_id
FROM parked AS p
WHERE p.due_at <= clock_timestamp()
ORDER BY p.due_at
LIMIT 1000
