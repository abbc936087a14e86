-- Locks projects until the end of the transaction, in order, and reads what they may cost. What follows reads their money with
-- a later snapshot.
-- $1 project text[]
-- Index: project_budget_pkey.
SELECT b.project, b.monthly_limit_microusd
FROM project_budget AS b
WHERE b.project = ANY ($1::text[])
ORDER BY b.project
FOR UPDATE
